"""Errors of executors: outside, not in here."""

from __future__ import annotations


class ExecutorError(Exception):
    """Something went wrong outside; the message is one line and holds nothing secret."""


class RefusedError(ExecutorError):
    """The order was not accepted, and would not be if it were repeated."""


class LaterError(ExecutorError):
    """The order was not accepted now; it may be in so many seconds on the campaign's clock."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class UnsureError(ExecutorError):
    """It is not known whether the order was accepted: only its tag can tell."""


class UnreachableError(ExecutorError):
    """A question was not answered; asking again later may help."""


class UndecodableError(ExecutorError):
    """A result arrived and makes no sense."""


class AccountError(ExecutorError):
    """The account is not, or no longer, accepted: nothing will work before the user has mended it."""


class BrokenError(ExecutorError):
    """The executor is broken: nothing will work before the campaign is resumed in a new process."""
