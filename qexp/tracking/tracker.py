"""What a run reports to, so that it need not know whether anybody is listening."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[Any]]


class StoppedEarly(Exception):  # noqa: N818 -- nothing went wrong
    """Who watches a run has seen enough of it."""


WATCHER: ContextVar[Callable[[Mapping[str, float | None], int], None] | None] = ContextVar(
    "WATCHER", default=None
)
"""Told the figures of the run in this context, once they are recorded; may raise `StoppedEarly`."""


class Tracker:
    """What a run reports to; this one forgets everything, which is what an untracked run needs.

    Attributes:
        run_id: MLflow's id of the run, None if it is not tracked.
        outcome: How the run will be recorded to have ended, if nothing is raised: FINISHED or FAILED.
    """

    run_id: str | None = None
    outcome: str = "FINISHED"

    def log_params(self, config: Mapping[str, Any]) -> None:
        """Record a resolved configuration; nested keys are joined by dots."""

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Record what to find the run by; None values are left out."""

    def log_metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Record figures named `<group>/<name>`; None and what is not finite are left out.

        Args:
            metrics: Value by name.
            step: Position on the metrics' axis: the iteration, in training.
        """

    def log_artifacts(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or what is in a folder, to the run's artifacts.

        Args:
            path: File or folder.
            folder: Where among the artifacts; by default at their top.
        """

    def log_policy(self, bundle: Path, example: Arrays) -> None:
        """Record a policy bundle as a model with signature and input example; register it if so configured.

        Args:
            bundle: The bundle's folder.
            example: A batch of observations: `task` [B, F_task], `nodes` [B, N, F_node] and
                `action_mask` [B, N].
        """
