"""Reports to one MLflow run, and does not let the run suffer when its store goes away."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from qexp.runfolder import relative
from qexp.tracking.delivery import deliver
from qexp.tracking.environment import patience, quiet
from qexp.tracking.journal import Journal, Record, in_words
from qexp.tracking.store import reason
from qexp.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

# Sent one by one, the metrics of quick training iterations would cost as much as the iterations.
_FLUSH_SECONDS, _FLUSH_VALUES = 5.0, 1000
# After a failure the store is left alone for a while, and altogether once failures have cost this much time.
_PAUSE_SECONDS, _PATIENCE_SECONDS, _REQUEST_SECONDS = 60.0, 30.0, 15


class MlflowTracker(Tracker):
    """Reports to one MLflow run, metrics a few seconds late.

    Everything is in the journal before it is sent. What cannot be sent is tried again after a while and at
    the end of the run; what has not arrived by then is named in one warning, with the command that delivers
    it.

    Args:
        client: Of the run's store.
        run_id: Of a run that exists.
        journal: The run's journal; what it holds that has not arrived is sent first.
        register_as: See `Tracker`.
    """

    run_id: str

    def __init__(
        self, client: MlflowClient, run_id: str, journal: Journal, register_as: str | None = None
    ) -> None:
        super().__init__(journal, register_as)
        self.run_id = run_id
        self._client = client
        self._sent = self._again = time.monotonic()
        self._lost_seconds = 0.0
        self._failure: Exception | None = None

    def _record(self, record: Record) -> None:
        super()._record(record)
        now = time.monotonic()
        due = "metrics" not in record or now - self._sent > _FLUSH_SECONDS
        if now >= self._again and (due or self._values_pending() >= _FLUSH_VALUES):
            self._send()

    def _values_pending(self) -> int:
        return sum(len(record.get("metrics", ())) for record in self._journal.pending(self.run_id))

    def _end(self, status: str) -> None:
        """End the run; say what has not arrived."""
        super()._end(status)
        if self._journal.pending(self.run_id):
            self._send()
        if pending := self._journal.pending(self.run_id):
            why = "" if self._failure is None else f" ({reason(self._failure)})"
            text = f"not delivered to {self._client.tracking_uri}{why}: {in_words(pending)}"
            if (folder := self._journal.folder) is not None:
                text += f"; deliver it with: python -m qexp.tracking sync {relative(folder.absolute())}"
            log.warning("tracking: %s", text)

    def _send(self) -> None:
        """Send what is held back, unless failures have cost too much time."""
        if self._lost_seconds >= _PATIENCE_SECONDS:
            return
        began = self._sent = time.monotonic()
        try:
            with quiet(), patience(_REQUEST_SECONDS):
                deliver(self._client, self.run_id, self._journal)
        except Exception as error:  # noqa: BLE001 - whatever the store is made of, the run's result comes first
            self._failure = error
            self._lost_seconds += time.monotonic() - began
            self._again = time.monotonic() + _PAUSE_SECONDS
            log.info("tracking: not delivered for now: %s", reason(error))
