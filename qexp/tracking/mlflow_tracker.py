"""Reports to one MLflow run, and does not let the run suffer when its store goes away."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from qexp.tracking.delivery import deliver
from qexp.tracking.journal import Journal, Record, Recorder, in_words, values_in
from qexp.tracking.quiet import quiet
from qexp.tracking.store import patience, reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

# Sent one by one, the metrics of quick training iterations would cost as much as the iterations.
_FLUSH_SECONDS, _FLUSH_VALUES = 5.0, 1000
# After a failure the store is left alone for a while, and altogether once failures have cost this much time.
_PAUSE_SECONDS, _PATIENCE_SECONDS, _REQUEST_SECONDS = 60.0, 30.0, 15


class MlflowTracker(Recorder):
    """Reports to one MLflow run, metrics a few seconds late.

    Everything is in the journal before it is sent. What cannot be sent is tried again after a while and at
    the end of the run; what has not arrived by then is named in one warning, with the command that delivers
    it.

    Args:
        client: Of the run's store.
        run_id: Of a run that exists.
        journal: The run's journal; what it holds that has not arrived is sent first.
        register_as: See `Recorder`.
    """

    run_id: str

    def __init__(
        self, client: MlflowClient, run_id: str, journal: Journal, register_as: str | None = None
    ) -> None:
        super().__init__(journal, register_as)
        self.run_id = run_id
        self._client = client
        self._pending = journal.pending(run_id)
        self._arrived = len(journal.contents) - len(self._pending)
        self._flushed = self._again = time.monotonic()
        self._lost_seconds = 0.0
        self._failure: Exception | None = None

    def _record(self, record: Record) -> None:
        super()._record(record)
        self._pending.append(record)
        due = time.monotonic() - self._flushed > _FLUSH_SECONDS
        if "metrics" not in record or due or values_in(self._pending) >= _FLUSH_VALUES:
            self.flush()

    def flush(self) -> None:
        """Send what is held back, unless the store was away a moment ago."""
        if time.monotonic() >= self._again:
            self._send()

    def end(self, status: str) -> None:
        """End the run, see `Recorder.end`; say what has not arrived."""
        super().end(status)
        if self._pending:
            self._send()
        if self._pending:
            log.warning("tracking: %s", self._complaint())

    def _send(self) -> None:
        if self._lost_seconds >= _PATIENCE_SECONDS:
            return
        began = self._flushed = time.monotonic()
        arrived = 0
        try:
            with quiet(), patience(_REQUEST_SECONDS):
                for count in deliver(self._client, self.run_id, self._pending, self._journal.folder):
                    arrived += count
        except Exception as error:  # noqa: BLE001 - whatever the store is made of, the run's result comes first
            self._failure = error
            self._lost_seconds += time.monotonic() - began
            self._again = time.monotonic() + _PAUSE_SECONDS
            log.info("tracking: not delivered for now: %s", reason(error))
        finally:  # an interrupt, too, comes after something has arrived
            del self._pending[:arrived]
            self._arrived += arrived
            if arrived:
                self._journal.add({"delivered": self._arrived, "to": self.run_id})

    def _complaint(self) -> str:
        why = "" if self._failure is None else f" ({reason(self._failure)})"
        text = f"not delivered to {self._client.tracking_uri}{why}: {in_words(self._pending)}"
        if self._journal.folder is None:
            return text
        return f"{text}; deliver it with: python -m qexp.tracking sync {_short(self._journal.folder)}"


def _short(folder: Path) -> str:
    """Return the path as one would type it."""
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith("..") else relative
