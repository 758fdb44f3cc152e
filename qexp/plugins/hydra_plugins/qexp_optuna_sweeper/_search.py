"""The search itself, on Optuna: which values next, remembered in a file of the sweep's folder.

Jobs report to it how they do, so that it can stop trainings that do worse than others did.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra_plugins.qexp_optuna_sweeper.optuna_sweeper import OptunaSweeperConf
from omegaconf import DictConfig
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from qexp.problem.problem import metrics as known_metrics
from qexp.tracking import WATCHER, StoppedEarly

MEMORY = "search.log"
A_NAME = "a name of its own: sweep=NAME or hydra.sweeper.study_name=NAME"
TRIAL = "QEXP_TRIAL"
"""Environment variable of a job: the number of its trial."""
_FOLDER, _PRUNED, _FAILED = "folder", "pruned", "failed"
"""Notes on a trial: the sweep it is of, and how its job ended."""

DIRECTIONS = ("minimize", "maximize")
SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed, scramble=True),
}
PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "halving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
}


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
        last = [str(value) for value in override.sweep_string_iterator()][-1]
        if isinstance(sweep.start, int) and isinstance(sweep.step, int):
            return IntDistribution(sweep.start, int(last), step=sweep.step)
        return FloatDistribution(sweep.start, float(last), step=sweep.step)
    if isinstance(sweep, IntervalSweep) and sweep.start is not None and sweep.end is not None:
        whole = isinstance(sweep.start, int) and isinstance(sweep.end, int)
        kind: Any = IntDistribution if whole else FloatDistribution
        drawn: BaseDistribution = kind(sweep.start, sweep.end, log="log" in sweep.tags)
        return drawn
    raise HydraException(f"hydra/sweeper=optuna: cannot search {override.input_line}")


def check(settings: OptunaSweeperConf) -> None:
    """Refuse settings that no search can be made with.

    Raises:
        HydraException: One is out of bounds; the message names its key and what would be accepted.
    """
    for key, least in (("n_trials", 1), ("n_jobs", 1), ("seed", 0)):
        if (number := getattr(settings, key)) < least:
            raise HydraException(f"hydra.sweeper.{key}={number}: must be at least {least}")
    for key, known in (("direction", DIRECTIONS), ("sampler", SAMPLERS), ("pruner", PRUNERS)):
        if (name := getattr(settings, key)) not in known:
            raise HydraException(f"hydra.sweeper.{key}={name}: choose one of {', '.join(known)}")
    storage = settings.storage or ""
    forgets = re.fullmatch(r"sqlite(\+\w+)?://(/|/:memory:)?(\?.*)?", storage)
    if settings.storage is not None and ("://" not in storage or forgets):
        raise HydraException(f"hydra.sweeper.storage={storage}: give sqlite:///FILE or a database URL")
    if re.search("//[^/]*:[^/]*@", storage) or "password=" in storage:
        raise HydraException(
            "hydra.sweeper.storage: leave the password out, configurations are written down; give it in "
            "PGPASSWORD or ~/.pgpass"
        )
    if settings.study_name is not None and settings.storage is None:
        raise HydraException(f"hydra.sweeper.study_name={settings.study_name}: needs hydra.sweeper.storage")


@contextmanager
def _in_a_line(storage: str | None) -> Iterator[None]:
    """Say in one line what is wrong with a storage, or with what is in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    except HydraException:
        raise
    except Exception as error:  # noqa: BLE001 -- of Optuna, of SQLAlchemy, of a database's driver
        reason = re.split(r" \[SQL:| \(Background on", " ".join(str(error).split()))[0][:300]
        where = f"hydra.sweeper.storage={storage}" if storage else "the search in the sweep's folder"
        raise HydraException(f"{where} cannot be used: {reason}") from None


def _opened(storage: str) -> BaseStorage | str:
    """Return what Optuna takes for a storage: a URL as it is, or a file's journal."""
    return storage if "://" in storage else JournalStorage(JournalFileBackend(storage))


class Search:
    """A search that continues where an earlier start of the same sweep left it.

    Args:
        folder: Of the sweep.
        distributions: What to draw from, by key.
        settings: How to search.

    Attributes:
        finished: Trials that are over.
        storage: What other processes open the search with: a URL, or the path of a file.
        name: Of the search in the storage.
    """

    def __init__(
        self, folder: Path, distributions: dict[str, BaseDistribution], settings: OptunaSweeperConf
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._distributions = distributions
        self._settings = settings
        self._asked: list[Trial] = []
        self._folder = str(folder.absolute())
        url = settings.storage
        if url and (path := url.removeprefix("sqlite:///")) not in {url, ""}:
            url = f"sqlite:///{Path(path).absolute()}"  # as jobs in other folders find it
        self.storage = url or f"{self._folder}/{MEMORY}"
        self.name = settings.study_name or (folder.name if url else "search")
        with _in_a_line(settings.storage):
            self._study = optuna.create_study(
                storage=_opened(self.storage),
                study_name=self.name,
                load_if_exists=True,
                direction=StudyDirection[settings.direction.upper()],
            )
            self._check_study()
            # A second start must not draw again what the first one drew.
            drawn = int(np.random.SeedSequence([settings.seed, len(self._study.trials)]).generate_state(1)[0])
            self._study.sampler = SAMPLERS[settings.sampler](drawn)
            # What was cut off is asked for again: its job continues from its last checkpoint.
            for trial in self._study.get_trials(states=[TrialState.RUNNING]):
                # Another folder's job may be running: a storage is shared.
                if trial.user_attrs.get(_FOLDER, self._folder) == self._folder:
                    self._study.tell(trial.number, state=TrialState.FAIL)
                    self._study.enqueue_trial(trial.params)
        over = self._study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])
        failed = self._study.get_trials(states=[TrialState.FAIL])
        # Of those that failed, some were only cut off.
        self.finished = len(over) + sum(_FAILED in trial.user_attrs for trial in failed)

    def _check_study(self) -> None:
        """Raise `HydraException` unless what is remembered is this search."""
        begun, direction = self._study.direction.name.lower(), self._settings.direction
        if begun != direction:
            raise HydraException(
                f"hydra.sweeper.direction={direction}: this search was begun to {begun}; give that, or give "
                f"this one {A_NAME}"
            )
        for trial in self._study.trials:
            if other := trial.params.keys() ^ self._distributions.keys() if trial.params else set():
                raise HydraException(
                    f"{self._settings.storage or self.storage} holds another search called {self.name}: of "
                    f"the two, only one varies {', '.join(sorted(other))}; give this one {A_NAME}"
                )
            for key, before in trial.distributions.items():
                now = self._distributions[key]
                try:
                    check_distribution_compatibility(before, now)
                except ValueError:
                    raise HydraException(
                        f"{key}={_in_words(now)}: this search was begun with {_in_words(before)}; keep that, "
                        f"or give this one {A_NAME}"
                    ) from None

    def ask(self, count: int) -> dict[int, list[str]]:
        """Return the overrides of the next jobs, by the numbers of their trials."""
        with _in_a_line(self._settings.storage):
            self._asked = [self._study.ask(self._distributions) for _ in range(count)]
            for trial in self._asked:
                trial.set_user_attr(_FOLDER, self._folder)
        return {
            trial.number: [f"{key}={value}" for key, value in trial.params.items()] for trial in self._asked
        }

    def tell(self, values: Sequence[float | None]) -> None:
        """Take the values of the jobs asked for last; None of one that failed or was pruned."""
        with _in_a_line(self._settings.storage):
            for trial, value in zip(self._asked, values, strict=True):
                if value is not None:
                    self._study.tell(trial, value)
                elif _PRUNED in self._study.trials[trial.number].user_attrs:
                    self._study.tell(trial, state=TrialState.PRUNED)
                else:
                    trial.set_user_attr(_FAILED, value=True)
                    self._study.tell(trial, state=TrialState.FAIL)

    def best(self, unit: str = "s") -> str:
        """Say in one line which values did best, and how well, in that unit."""
        with _in_a_line(self._settings.storage):
            if not self._study.get_trials(states=[TrialState.COMPLETE]):
                return "search: no job completed"
            trial = self._study.best_trial
        chosen = " ".join(f"{key}={value}" for key, value in trial.params.items())
        return f"search: the best is {chosen}, {trial.value:.1f} {unit} per episode"


def _in_words(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ",".join(str(choice) for choice in distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    interval = f"{distribution.low:g}..{distribution.high:g}"
    kind = "whole numbers in " if isinstance(distribution, IntDistribution) else ""
    return f"{kind}{interval}{', logarithmically' if distribution.log else ''}"


class Pruning(Callback):
    """Hydra's callback in every job of a search: has its training watched by one of `PRUNERS`."""

    def __init__(self, storage: str, study: str, pruner: str) -> None:
        self._opens = (storage, study, pruner)

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Have the job's figures reported to its trial."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage, name, pruner = self._opens
        study = optuna.load_study(study_name=name, storage=_opened(storage), pruner=PRUNERS[pruner]())
        frozen = study.trials[int(os.environ[TRIAL])]
        trial = Trial(study, frozen._trial_id)  # noqa: SLF001 -- nothing public opens a trial elsewhere

        # Figures of a training that are means of what the search is about.
        watched = [f"train/episode_{metric.column}_mean" for metric in known_metrics().values()]

        def watch(metrics: Mapping[str, float | None], step: int) -> None:
            value = next((metrics[key] for key in watched if metrics.get(key) is not None), None)
            if value is None:
                return
            trial.report(value, step)
            if trial.should_prune():
                trial.set_user_attr(_PRUNED, value=True)
                raise StoppedEarly(f"pruned after {step} iterations")

        WATCHER.set(watch)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Stop watching.

        Args:
            config: Of the job.
            job_return: How the job ended.
        """
        WATCHER.set(None)
