"""One process at a time runs a campaign: two would send every open order twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qexp.errors import InputError
from qexp.runfolder import relative

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "journal.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder's campaign, or raise `InputError`; the system lets go of it when the process dies.

    The file stays: to delete it would open a gap between two processes that both hold a file of its name.
    """
    if fcntl is None:
        raise InputError("deploy: campaigns need file locks (fcntl), which this system does not have")
    number = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(number, "r+", encoding="ascii", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = file.read(20).strip() or "unknown"
            raise InputError(f"{relative(folder)}: another process runs this campaign (pid {who})") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def refuse_locked(folder: Path) -> None:
    """Raise `InputError` if another process runs a campaign in the folder."""
    if (folder / FILE).exists():
        with locked(folder):
            pass
