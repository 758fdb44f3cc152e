"""No tracking: nothing recorded, MLflow not even imported."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from qexp.option import option
from qexp.tracking.tracker import Tracker
from qexp.tracking.tracking import Tracking


@option("tracking")
@dataclass
class Off(Tracking):
    """Record nothing."""

    def start(self, name: str | None = None) -> AbstractContextManager[Tracker]:
        """Give a tracker that forgets, see `Tracking.start`."""
        return nullcontext(Tracker())
