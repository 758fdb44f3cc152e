"""Interrupts that wait for a moment in which nothing is half written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uninterrupted(uri: str) -> Iterator[None]:
    """Let an interrupt, or a handled SIGTERM, wait until a database's transaction is over.

    Raised in the middle of one, it would leave the transaction open for as long as anybody holds the
    exception's traceback, and what is recorded next, how the run ended, would wait for it in vain. A second
    interrupt does not wait. With a server a request may be broken off anywhere.
    """
    if uri.startswith("http") or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}

    def wait(number: int, _: object) -> None:
        came.append(number)
        restore()

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    try:
        for number in handlers:
            signal.signal(number, wait)
        yield
    finally:
        restore()
        for interrupt in came:
            signal.raise_signal(interrupt)
