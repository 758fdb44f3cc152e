"""Errors that are no bugs: a user's mistakes, and a user's interrupts."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Environment variable of Hydra's: 1 shows tracebacks where a line would do."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the config key, or the file and line, and what would be accepted.
    The command line prints it and exits with status 2.
    """


class DivergenceError(RuntimeError):
    """Training was stopped at figures that are no numbers; the message is one line.

    Attributes:
        history: One mapping per iteration, the last one that of the iteration which diverged, without the
            figures that are no numbers.
        checkpoint: The last checkpoint, from before; None if there was none yet.
    """

    def __init__(
        self, message: str, history: Sequence[Mapping[str, float]] = (), checkpoint: Path | None = None
    ) -> None:
        super().__init__(message)
        self.history = list(history)
        self.checkpoint = checkpoint


class Terminated(KeyboardInterrupt):
    """The command was asked to end by SIGTERM: it ends as by an interrupt, but asks nothing."""


def in_a_line(error: BaseException) -> str:
    """Say what an exception says, in one line; a bug's comes with its type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}".removesuffix(": ")


def interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt that an exception is, or was caused by.

    An interrupt may come while a library has something half done, and cleaning that up may raise another
    exception in its place. Exceptions that were raised from each other make a circle, of which each is seen
    once.
    """
    seen: set[int] = set()
    while error is not None and not isinstance(error, KeyboardInterrupt):
        seen.add(id(error))
        error = error.__cause__ or error.__context__
        if id(error) in seen:
            return None
    return error


@contextmanager
def interrupts_pass() -> Iterator[None]:
    """Raise an interrupt in place of an exception that it caused."""
    try:
        yield
    except Exception as error:
        if (behind := interrupt_behind(error)) is not None:
            raise type(behind) from error
        raise


@contextmanager
def terminable() -> Iterator[None]:
    """End on SIGTERM, with which batch systems and containers stop a command, as on an interrupt."""

    def end(*_: object) -> None:
        raise Terminated

    in_main = threading.current_thread() is threading.main_thread()
    handles = in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if handles:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if handles:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def answered(work: Callable[[], int], prefix: str = "qexp: ") -> int:
    """Do the work of a command, and say in one line what it refuses or what ends it.

    Args:
        work: Returns an exit status.
        prefix: What a line about refused input starts with.

    Returns:
        Exit status: that of the work, 2 refused, 130 interrupted, 143 terminated.
    """
    try:
        with terminable(), interrupts_pass():
            return work()
    except InputError as error:
        if os.environ.get(FULL_ERROR) == "1":
            raise
        sys.stderr.write(f"{prefix}{error}\n")
        return 2
    except KeyboardInterrupt as interrupt:
        word, status = ("terminated", 143) if isinstance(interrupt, Terminated) else ("interrupted", 130)
        sys.stderr.write(f"qexp: {word}\n")
        return status
