"""Puts questions to the client; what goes wrong is said in our own words: its own may quote the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from qexp.backend.ibm import chain, quiet, statuses
from qexp.deploy.executor import AccountError, ExecutorError, UnreachableError

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


def kinds(error: Exception) -> set[str]:
    """Return the names of all classes of an error and of what led to it."""
    return {kind.__name__ for link in chain(error) for kind in type(link).__mro__}


def in_words(error: Exception) -> ExecutorError:
    """Return what an error of the client comes down to, in words of our own."""
    for link in chain(error):
        if isinstance(link, AccountError | UnreachableError):
            return type(link)(str(link))
    found = statuses(error)
    of = kinds(error)
    if found & {401, 403} or "IBMNotAuthorizedError" in of:
        return AccountError(
            "IBM Quantum: the account was refused: its token is not valid (for this instance)"
        )
    if found:
        return UnreachableError(f"IBM Quantum answers with status {max(found)}")
    if of & {"Timeout", "TimeoutError"}:
        return UnreachableError("IBM Quantum: no answer in deploy.timeout seconds")
    if of & {"RequestException", "ConnectionError"}:
        return UnreachableError("IBM Quantum: no connection")
    return UnreachableError(f"IBM Quantum: an answer that makes no sense ({type(error).__name__})")
