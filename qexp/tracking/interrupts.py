"""Interrupts that wait for a moment in which nothing is half written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial


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
    came: list[Callable[[], object]] = []
    before: dict[int, Callable[..., object]] = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }

    def wait(number: int, frame: object) -> None:
        came.append(partial(before[number], number, frame))
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        for number in before:
            signal.signal(number, wait)
        yield
    finally:
        restore()
        for go_on in came:
            go_on()
