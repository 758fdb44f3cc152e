"""Send nothing anywhere; MLflow is not even imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qexp.config.option import option
from qexp.tracking.journal import Journal, Tracker, now
from qexp.tracking.tracking import Tracking


@option("tracking")
@dataclass
class Off(Tracking):
    """Send nothing anywhere; MLflow is not even imported."""

    @contextmanager
    def start(
        self, name: str | None = None, run_id: str | None = None, folder: Path | None = None
    ) -> Iterator[Tracker]:
        """Give a tracker that only writes a journal, if there is a folder for it, see `Tracking.start`."""
        journal = Journal.begin(folder)
        journal.add(
            {"run": {"id": None, "uri": None, "experiment": "qexp", "name": name, "start": now(), "tags": {}}}
        )
        tracker = Tracker(journal)
        with tracker.until_end():
            yield tracker
