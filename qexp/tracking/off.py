"""No tracking: nothing sent anywhere, MLflow not even imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qexp.config.option import option
from qexp.tracking.journal import Journal, Recorder, now
from qexp.tracking.tracker import Tracker
from qexp.tracking.tracking import Tracking


@option("tracking")
@dataclass
class Off(Tracking):
    """Send nothing anywhere; MLflow is not even imported."""

    @contextmanager
    def start(
        self, name: str | None = None, run_id: str | None = None, folder: Path | None = None
    ) -> Iterator[Tracker]:
        """Give a tracker that only keeps a journal, if there is a folder for it, see `Tracking.start`."""
        if folder is None:
            yield Tracker()
            return
        journal = Journal.begin(folder)
        journal.add(
            {"run": {"id": None, "uri": None, "experiment": "qexp", "name": name, "start": now(), "tags": {}}}
        )
        tracker = Recorder(journal)
        with tracker.until_end():
            yield tracker
