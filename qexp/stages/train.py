"""Training a policy, and exporting it to the run folder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from functools import partial

from qexp.algo.training import Training
from qexp.config.build import make
from qexp.config.identity import option_of
from qexp.problem.extract import extract
from qexp.problem.policy_scheduler import PolicyScheduler
from qexp.report.progress import training_progress
from qexp.stages.resume import last_checkpoint
from qexp.stages.stage import Stage, Work

log = logging.getLogger(__name__)

_ONE_AT_A_TIME = threading.Lock()
"""Ray, and Torch's number of threads, belong to the whole process."""


class Train(Stage):
    """Trains, unless ``algo=none``."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._name = option_of(work.resolved, "algo")
        self._config: Training | None = None

    def prepare(self) -> None:
        """Refuse settings that cannot be trained with, and problems with nothing to train on."""
        if self._name == "none":
            return
        self._config = make(self.work.resolved["algo"], Training)
        self.work.problem.check_training(self._fleet_seed)
        self.resumable = True

    def run(self) -> None:
        """Train, export the policy, and enter it in the roster."""
        if self._config is None:
            return
        work, config = self.work, self._config
        checkpoint = last_checkpoint(work.folder, work.console) if work.begun else None
        with (
            _ONE_AT_A_TIME,
            training_progress(config.env_steps, config.seconds, work.console, work.problem.metric) as advance,
        ):
            from qexp.algo.train import train  # imports Ray and Torch: long enough to show the bar before

            def on_iteration(row: Mapping[str, float]) -> None:
                advance(row)
                figures = {f"train/{key}": value for key, value in row.items() if key != "iteration"}
                work.tracker.log_metrics(figures, int(row["iteration"]))

            work.training = train(
                config,
                name=self._name,
                make_vector_env=partial(work.problem.make_vector_env, fleet_seed=self._fleet_seed),
                decisions=work.problem.decisions,
                seed=work.identity.seed,
                folder=work.folder.path,
                on_iteration=on_iteration,
                bundle_metadata=work.identity.of_policy | work.problem.of_policy,
                ray_address=work.resolved["ray"]["address"],
                resume_from=checkpoint,
            )
        log.info("trained %d env steps in %.1f s", work.training.env_steps, work.training.seconds)
        extract(work.training.checkpoint, work.folder.path / "policy")
        work.roster.trained(PolicyScheduler(path=str(work.folder.path / "policy")))

    @property
    def _fleet_seed(self) -> int | None:
        assert self._config is not None
        return self.work.identity.seed if self._config.fleet_randomisation else None
