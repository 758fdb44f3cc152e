"""Puts questions to the client; what goes wrong is said in our own words: its own may quote the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from qexp.deploy.executors.executor import AccountError, ExecutorError, UnreachableError
from qexp.fleet.ibm import quiet
from qexp.fleet.ibm_errors import chain, reason, refused, statuses, timed_out

T = TypeVar("T")


def put(question: Callable[[], T], **missing: Any) -> T:
    """Put a question to the client.

    Args:
        question: What to call.
        **missing: ``missing``: what to return where the service knows of no such thing.

    Raises:
        UnreachableError: No answer.
        AccountError: The account is not accepted.
    """
    problem: ExecutorError
    with quiet():
        try:
            return question()
        except Exception as error:  # noqa: BLE001 the client raises all kinds
            if missing and 404 in statuses(error):
                found: T = missing["missing"]
                return found
            problem = in_words(error)
    # Not from within the handler: what the client said is not even to be in a traceback.
    raise problem


def mapping(answer: object) -> dict[str, Any]:
    """Return an answer that must be an object.

    Raises:
        UnreachableError: It is not.
    """
    if not isinstance(answer, Mapping):
        raise UnreachableError("IBM Quantum: an answer that makes no sense")
    return dict(answer)


def in_words(error: Exception) -> ExecutorError:
    """Return what an error of the client comes down to, in words of our own."""
    for link in chain(error):
        if isinstance(link, AccountError | UnreachableError):
            return type(link)(str(link))
    if refused(error):
        return AccountError(f"IBM Quantum: {reason(error)}")
    if not statuses(error) and timed_out(error):
        return UnreachableError("IBM Quantum: no answer in deploy.timeout seconds")
    return UnreachableError(f"IBM Quantum: {reason(error)}")
