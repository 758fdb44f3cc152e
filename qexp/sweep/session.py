"""How a sweep begins and ends: its folder, its entry in the tracker, its tables once the jobs are through."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from qexp.config.build import make
from qexp.config.plots import resolved_plots
from qexp.errors import InputError
from qexp.report.sweeps import PRUNED, Sweep
from qexp.report.tables import show
from qexp.runfolder import COMPLETED, PLANNED, relative
from qexp.sweep.plan import SWEEP_DIR, SWEPT, Plan, as_typed
from qexp.tracking import Tracker, Tracking
from qexp.tracking.journal import Journal
from qexp.tracking.local import apply_environment
from qexp.tracking.tracking import PARENT_RUN


class SweepSession(Callback):
    """Hydra's callback around a multirun.

    Attributes:
        current: The session of the multirun that is running or has just run; None in a single run.
        sweep: The content of its folder, once it is over.
        refusal: Why it could not begin, or None.
    """

    current: ClassVar[Any] = None

    def __init__(self) -> None:
        self.sweep: Sweep | None = None
        self.refusal: Exception | None = None
        self._plan: Plan | None = None
        self._is_new = False
        self._draws = True
        self._tracker = Tracker(Journal())
        self._tracked = ExitStack()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Travel empty: Hydra sends its callbacks along with every job, and jobs neither open nor close."""
        return SweepSession, ()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Begin: see that the folder is this sweep's, and open its run in the tracker.

        Raises:
            SystemExit: It cannot begin; `closed_at_the_end` raises why. Hydra makes warnings of callbacks'
                other exceptions.
        """
        SweepSession.current = self
        try:
            self._begin(config)
        except Exception as error:  # noqa: BLE001 -- `closed_at_the_end` raises it
            self.refusal = error
        # Out here, so that no circle of causes comes of it when the refusal is raised in the exit's place.
        if self.refusal is not None:
            raise SystemExit(2)

    def _begin(self, config: DictConfig) -> None:
        if config.resume is not None:
            raise InputError(f"resume={config.resume} resumes one run: leave out -m")
        try:
            config.plots = resolved_plots(config.plots)
        except ValueError as error:
            raise InputError(f"plots={config.plots}: {error}") from error
        plan = Plan.of(config)
        # A preset's plots=false is of the jobs: one figure for the sweep is enough.
        typed = any(override.lstrip("+").startswith("plots=") for override in as_typed(config.hydra, "task"))
        self._draws = config.plots or not typed
        self._is_new = not plan.folder.exists()
        plan, run_id = plan.join()
        self._plan = plan
        os.environ[SWEEP_DIR] = str(plan.folder)
        apply_environment(config, as_typed(config.hydra, "task"))
        tracking: Any = OmegaConf.to_container(config.tracking, resolve=True)
        self._tracker = self._tracked.enter_context(
            make(tracking, Tracking).start(f"sweep {plan.folder.name}", run_id, plan.folder)
        )
        if self._tracker.run_id is not None:
            os.environ[PARENT_RUN] = self._tracker.run_id
        plan.write(self._tracker.run_id)
        print(f"sweep folder: {relative(plan.folder)}", flush=True)

    def close(self, error: BaseException | None = None) -> None:
        """End: write tables and figure, log them, and close the sweep's run as it went, or by an error."""
        for name in (SWEEP_DIR, SWEPT, PARENT_RUN):
            os.environ.pop(name, None)
        if self._plan is None:
            return
        plan, self._plan = self._plan, None
        if error is not None and self._is_new and not any(path.is_dir() for path in plan.folder.iterdir()):
            # No job began: a mistyped command leaves nothing behind.
            self._end(error)
            shutil.rmtree(plan.folder)
            return
        self.sweep = Sweep.read(plan.folder)
        self.sweep.write(figure=self._draws)
        show(self.sweep)
        self._tracker.set_tags({"sweep": plan.folder.name, "run_folder": str(plan.folder)})
        self._tracker.log_metrics(self.sweep.metrics())
        for path in self.sweep.files():
            self._tracker.log_artifacts(path)
        self._end(error or (RuntimeError("not all jobs completed") if self.status else None))
        print(f"sweep folder: {relative(plan.folder)}", flush=True)

    def _end(self, error: BaseException | None) -> None:
        """Close the run; the exception says how it ended."""
        self._tracked.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)

    @property
    def status(self) -> int:
        """Exit status: 0 if every job completed, was pruned, or waits for a confirmation, else 1."""
        return int(
            self.sweep is None
            or any(job.status not in {COMPLETED, PLANNED, PRUNED} for job in self.sweep.jobs)
        )


@contextmanager
def closed_at_the_end() -> Iterator[None]:
    """Close the multirun that Hydra starts in the block, however the block ends."""
    SweepSession.current = None
    try:
        yield
    except BaseException as error:
        if (session := SweepSession.current) is None:
            raise
        session.close(error)
        if session.refusal is not None:
            raise session.refusal from session.refusal.__cause__
        raise
    if SweepSession.current is not None:
        SweepSession.current.close()
