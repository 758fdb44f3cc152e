"""The search itself, on Optuna: which values next, remembered in a file of the sweep's folder."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import optuna
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from hydra_plugins.qexp_optuna_sweeper._pruning import PRUNERS, is_pruned, opened
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

if TYPE_CHECKING:
    from hydra_plugins.qexp_optuna_sweeper.optuna_sweeper import OptunaSweeper

MEMORY = "search.log"
A_NAME = "a name of its own: sweep=NAME or hydra.sweeper.study_name=NAME"
_FOLDER = "folder"


def space(overrides: Sequence[Override]) -> dict[str, BaseDistribution]:
    """Translate Hydra's sweeps into what Optuna draws from.

    Raises:
        HydraException: There is nothing to search, or a sweep that cannot be searched.
    """
    if not overrides:
        raise HydraException(
            "hydra/sweeper=optuna: nothing to search; give, for example, algo.lr='interval(0.001,0.01)'"
        )
    return {override.get_key_element(): _distribution(override) for override in overrides}


def _distribution(override: Override) -> BaseDistribution:
    sweep = override.value()
    if isinstance(sweep, ChoiceSweep):
        return CategoricalDistribution([str(value) for value in override.sweep_string_iterator()])
    if isinstance(sweep, RangeSweep) and sweep.start is not None and sweep.stop is not None:
        # Like Python's range, Hydra's leaves the end out.
        values = [str(value) for value in override.sweep_string_iterator()]
        if isinstance(sweep.start, int) and isinstance(sweep.step, int):
            return IntDistribution(sweep.start, int(values[-1]), step=sweep.step)
        return FloatDistribution(sweep.start, float(values[-1]), step=sweep.step)
    if isinstance(sweep, IntervalSweep) and sweep.start is not None and sweep.end is not None:
        log = "log" in sweep.tags
        if isinstance(sweep.start, int) and isinstance(sweep.end, int):
            return IntDistribution(sweep.start, sweep.end, log=log)
        return FloatDistribution(sweep.start, sweep.end, log=log)
    raise HydraException(f"hydra/sweeper=optuna: cannot search {override.input_line}")


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed, scramble=True),
}
DIRECTIONS = ("minimize", "maximize")


def check(sweeper: OptunaSweeper) -> None:
    """Refuse settings that no search can be made with.

    Raises:
        HydraException: One is out of bounds; the message names its key and what would be accepted.
    """
    for key, least in (("n_trials", 1), ("n_jobs", 1), ("seed", 0)):
        if (number := getattr(sweeper, key)) < least:
            raise HydraException(f"hydra.sweeper.{key}={number}: must be at least {least}")
    for key, known in (("direction", DIRECTIONS), ("sampler", SAMPLERS), ("pruner", PRUNERS)):
        if (name := getattr(sweeper, key)) not in known:
            raise HydraException(f"hydra.sweeper.{key}={name}: choose one of {', '.join(known)}")
    storage = sweeper.storage or ""
    forgets = re.fullmatch(r"sqlite(\+\w+)?://(/|/:memory:)?(\?.*)?", storage)
    if sweeper.storage is not None and ("://" not in storage or forgets):
        raise HydraException(f"hydra.sweeper.storage={storage}: give sqlite:///FILE or a database URL")
    if re.search("//[^/]*:[^/]*@", storage) or "password=" in storage:
        raise HydraException(
            "hydra.sweeper.storage: leave the password out, configurations are written down; give it in "
            "PGPASSWORD or ~/.pgpass"
        )
    if sweeper.study_name is not None and sweeper.storage is None:
        raise HydraException(f"hydra.sweeper.study_name={sweeper.study_name}: needs hydra.sweeper.storage")


def _absolute(url: str) -> str:
    """Return the URL of a storage as jobs in other folders find it."""
    path = url.removeprefix("sqlite:///")
    return f"sqlite:///{Path(path).absolute()}" if path != url and path else url


@contextmanager
def _in_a_line(storage: str | None) -> Iterator[None]:
    """Say in one line what is wrong with a storage, or with what is in it."""
    try:
        yield
    except HydraException:
        raise
    except Exception as error:  # noqa: BLE001 -- of Optuna, of SQLAlchemy, of a database's driver
        reason = re.split(r" \[SQL:| \(Background on", " ".join(str(error).split()))[0][:300]
        where = f"hydra.sweeper.storage={storage}" if storage else "the search in the sweep's folder"
        raise HydraException(f"{where} cannot be used: {reason}") from None


class Search:
    """A search that goes on where an earlier start of the same sweep left it.

    Args:
        folder: Of the sweep.
        distributions: What to draw from, by key.
        seed: Of the search.
        direction: See `OptunaSweeper`, as for what follows.
        sampler: Who chooses.
        storage: Where it is remembered.
        name: What it is called there.

    Attributes:
        finished: Trials that are over.
        storage: What other processes open the search with: a URL, or the path of a file.
        name: What it is called there.
    """

    def __init__(
        self,
        folder: Path,
        distributions: dict[str, BaseDistribution],
        seed: int,
        direction: str = "minimize",
        sampler: str = "tpe",
        storage: str | None = None,
        name: str | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._distributions = distributions
        self._asked: list[Trial] = []
        self._url = storage
        self._folder = str(folder.absolute())
        self.storage = _absolute(storage) if storage else str(folder.absolute() / MEMORY)
        self.name = name or (folder.name if storage else "search")
        with _in_a_line(storage):
            self._study = optuna.create_study(
                storage=opened(self.storage),
                study_name=self.name,
                load_if_exists=True,
                direction=StudyDirection[direction.upper()],
            )
            self._check_study(direction)
            # A second start must not draw again what the first one drew.
            drawn = int(np.random.SeedSequence([seed, len(self._study.trials)]).generate_state(1)[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study.sampler = SAMPLERS[sampler](drawn)
            # What was cut off is asked for again: its job goes on from its last checkpoint.
            for trial in self._study.get_trials(states=[TrialState.RUNNING]):
                # Another folder's job may be running: a storage is shared.
                if trial.user_attrs.get(_FOLDER, self._folder) == self._folder:
                    self._study.tell(trial.number, state=TrialState.FAIL)
                    self._study.enqueue_trial(trial.params)
        over = self._study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])
        failed = self._study.get_trials(states=[TrialState.FAIL])
        # Of those that failed, some were only cut off.
        self.finished = len(over) + sum("failed" in trial.user_attrs for trial in failed)

    @classmethod
    def of(cls, sweeper: OptunaSweeper, folder: Path, distributions: dict[str, BaseDistribution]) -> Self:
        """Begin the search of a sweeper, or go on with it."""
        return cls(
            folder,
            distributions,
            sweeper.seed,
            sweeper.direction,
            sweeper.sampler,
            sweeper.storage,
            sweeper.study_name,
        )

    def _check_study(self, direction: str) -> None:
        """Raise `HydraException` unless what is remembered is this search."""
        begun = self._study.direction.name.lower()
        if begun != direction:
            raise HydraException(
                f"hydra.sweeper.direction={direction}: this search was begun to {begun}; give that, or give "
                f"this one {A_NAME}"
            )
        for trial in self._study.trials:
            if other := trial.params.keys() ^ self._distributions.keys() if trial.params else set():
                raise HydraException(
                    f"{self._url or self.storage} holds another search called {self.name}: of the two, only "
                    f"one varies {', '.join(sorted(other))}; give this one {A_NAME}"
                )
            for key, before in trial.distributions.items():
                _check_values(key, before, self._distributions[key])

    def ask(self, count: int) -> list[list[str]]:
        """Return the overrides of the next jobs."""
        with _in_a_line(self._url), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._asked = [self._study.ask(self._distributions) for _ in range(count)]
            for trial in self._asked:
                trial.set_user_attr(_FOLDER, self._folder)
        return [[f"{key}={value}" for key, value in trial.params.items()] for trial in self._asked]

    @property
    def numbers(self) -> list[int]:
        """Numbers of the trials asked for last."""
        return [trial.number for trial in self._asked]

    def tell(self, values: Sequence[float | None]) -> None:
        """Take the values of the jobs asked for last; None of one that failed or was pruned."""
        with _in_a_line(self._url):
            for trial, value in zip(self._asked, values, strict=True):
                if value is None and is_pruned(self._study, trial.number):
                    self._study.tell(trial, state=TrialState.PRUNED)
                elif value is None:
                    trial.set_user_attr("failed", value=True)
                    self._study.tell(trial, state=TrialState.FAIL)
                else:
                    self._study.tell(trial, value)

    def best(self, unit: str = "s") -> str:
        """Say in one line which values did best, and how well, in that unit."""
        with _in_a_line(self._url):
            if not self._study.get_trials(states=[TrialState.COMPLETE]):
                return "search: no job completed"
            trial = self._study.best_trial
        chosen = " ".join(f"{key}={value}" for key, value in trial.params.items())
        return f"search: the best is {chosen}, {trial.value:.1f} {unit} per episode"


def _check_values(key: str, before: BaseDistribution, now: BaseDistribution) -> None:
    """Raise `HydraException` if Optuna cannot learn from what was drawn before."""
    try:
        check_distribution_compatibility(before, now)
    except ValueError:
        raise HydraException(
            f"{key}={_in_words(now)}: this search was begun with {_in_words(before)}; keep that, or give "
            f"this one {A_NAME}"
        ) from None


def _in_words(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ",".join(str(choice) for choice in distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    interval = f"{distribution.low:g}..{distribution.high:g}"
    kind = "whole numbers in " if isinstance(distribution, IntDistribution) else ""
    return f"{kind}{interval}{', logarithmically' if distribution.log else ''}"
