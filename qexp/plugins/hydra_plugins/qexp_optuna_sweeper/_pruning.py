"""Stopping trainings that do worse than others did: a job tells the search how it goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra_plugins.qexp_optuna_sweeper.optuna_sweeper import TRIAL
from omegaconf import DictConfig
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial

from qexp.problem.problem import metrics as known_metrics
from qexp.tracking import WATCHER, StoppedEarly

PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "halving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
}
_PRUNED = "pruned"


def opened(storage: str) -> BaseStorage | str:
    """Return what Optuna takes for a storage: a URL as it is, or a file's journal."""
    return storage if "://" in storage else JournalStorage(JournalFileBackend(storage))


def is_pruned(study: optuna.Study, number: int) -> bool:
    """Tell whether a trial's job was stopped early."""
    return _PRUNED in study.trials[number].user_attrs


class Pruning(Callback):
    """Hydra's callback in every job of a search: has its training watched.

    Args:
        storage: What the search is opened with.
        study: Its name there.
        pruner: One of `PRUNERS`.
    """

    def __init__(self, storage: str, study: str, pruner: str) -> None:
        self._storage = storage
        self._study = study
        self._pruner = pruner

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Have the job's figures reported to its trial."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.load_study(
            study_name=self._study, storage=opened(self._storage), pruner=PRUNERS[self._pruner]()
        )
        found = study.trials[int(os.environ[TRIAL])]
        trial = Trial(study, found._trial_id)  # noqa: SLF001 -- nothing public opens a trial elsewhere

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
        """Stop watching."""
        WATCHER.set(None)
