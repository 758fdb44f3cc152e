"""What the options of where to record a run have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from qexp.tracking.tracker import Tracker


class Tracking(ABC):
    """Where a run is recorded."""

    @abstractmethod
    def start(self, name: str | None = None) -> AbstractContextManager[Tracker]:
        """Begin a run and give its tracker; leaving the block ends the run.

        Args:
            name: Of the run, unless the configuration names it.

        Raises:
            InputError: If the store cannot be used.
        """
