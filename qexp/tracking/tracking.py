"""What the options of where to record a run have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path

from qexp.config.option import Configurable, group
from qexp.tracking.tracker import Tracker


@group("tracking")
class Tracking(Configurable, ABC):
    """Where a run is recorded."""

    @abstractmethod
    def start(
        self, name: str | None = None, run_id: str | None = None, folder: Path | None = None
    ) -> AbstractContextManager[Tracker]:
        """Begin a run and give its tracker; leaving the block ends the run.

        Args:
            name: Of the run, unless the configuration names it.
            run_id: MLflow's id of a run to continue instead of creating one.
            folder: The run folder. It gets a journal of everything that is recorded, from which
                ``python -m qexp.tracking sync`` delivers what did not arrive; without it that is lost.

        Raises:
            InputError: If the store cannot be used, or has no such run.
        """
