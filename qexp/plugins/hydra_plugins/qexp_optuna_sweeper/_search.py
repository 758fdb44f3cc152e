"""The search itself, on Optuna: which values next, remembered in a file of the sweep's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

MEMORY = "search.log"


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


class Search:
    """A search that goes on where an earlier start of the same sweep left it.

    Attributes:
        finished: Trials that are over.
    """

    def __init__(self, folder: Path, distributions: dict[str, BaseDistribution], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions = distributions
        self._asked: list[Trial] = []
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / MEMORY))),
            study_name="search",
            load_if_exists=True,
        )
        # A second start must not draw again what the first one drew.
        drawn = int(np.random.SeedSequence([seed, len(self._study.trials)]).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(seed=drawn, constant_liar=True)
        # What was cut off is asked for again: its job goes on from its last checkpoint.
        for trial in self._study.get_trials(states=[TrialState.RUNNING]):
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.enqueue_trial(trial.params)
        over = self._study.get_trials(states=[TrialState.COMPLETE])
        failed = self._study.get_trials(states=[TrialState.FAIL])
        # Of those that failed, some were only cut off.
        self.finished = len(over) + sum("failed" in trial.user_attrs for trial in failed)

    def ask(self, count: int) -> list[list[str]]:
        """Return the overrides of the next jobs."""
        self._asked = [self._study.ask(self._distributions) for _ in range(count)]
        return [[f"{key}={value}" for key, value in trial.params.items()] for trial in self._asked]

    def tell(self, values: Sequence[float | None]) -> None:
        """Take the values of the jobs asked for last; None of one that failed."""
        for trial, value in zip(self._asked, values, strict=True):
            if value is None:
                trial.set_user_attr("failed", value=True)
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, value)

    def best(self) -> str:
        """Say in one line which values did best."""
        if not self._study.get_trials(states=[TrialState.COMPLETE]):
            return "search: no job completed"
        trial = self._study.best_trial
        chosen = " ".join(f"{key}={value}" for key, value in trial.params.items())
        return f"search: the best is {chosen}, {trial.value:.1f} s per episode"
