"""Errors of qiskit-ibm-runtime in words of our own: its own may quote the account."""

from __future__ import annotations

AWAY = (500, 502, 503, 504, 520, 521, 522, 524)
"""Answers of a gateway while the service behind it is away."""
TRIES = 3
"""How often something is asked for before the service counts as away."""


class NoTokenError(Exception):
    """There is no access token: the API key is refused, or else nobody gives out tokens now."""

    def __init__(self, *, refused: bool) -> None:
        super().__init__("no access token")
        self.refused = refused


def chain(error: Exception) -> list[Exception]:
    """Return an error and what led to it."""
    links = [error]
    while (cause := links[-1].__cause__ or links[-1].__context__) and isinstance(cause, Exception):
        links.append(cause)
    return links


def statuses(error: Exception) -> set[int]:
    """Return the HTTP statuses that an error carries; 500 stands for those that the client gave up on."""
    links = chain(error)
    carriers = [*links, *(getattr(link, "response", None) for link in links)]
    numbers = [getattr(carrier, "status_code", None) for carrier in carriers]
    gave_up = {500 for link in links if type(link).__name__ == "RetryError"}
    return gave_up | {number for number in numbers if isinstance(number, int) and number > 0}


def kinds(error: Exception) -> set[str]:
    """Return the names of all classes of an error and of what led to it."""
    return {kind.__name__ for link in chain(error) for kind in type(link).__mro__}


def _key_refused(error: Exception) -> bool:
    return any(isinstance(link, NoTokenError) and link.refused for link in chain(error))


def refused(error: Exception) -> bool:
    """Return whether it is the account that an error is about."""
    names, numbers = kinds(error), statuses(error)
    # Whoever gives out tokens says 400 of a key that it does not know; the service, of a wrong question.
    wrong_key = "IBMNotAuthorizedError" in names or (400 in numbers and "ApiException" in names)
    return _key_refused(error) or wrong_key or bool(numbers & {401, 403})


def timed_out(error: Exception) -> bool:
    """Return whether an error is that somebody is there and says nothing."""
    names = kinds(error)
    # A connection that is refused is of the same family.
    return bool(names & {"Timeout", "TimeoutError"}) and "NewConnectionError" not in names


def reason(error: Exception) -> str:
    """Return what an error of the client comes down to, in words of our own."""
    names, numbers = kinds(error), statuses(error)
    if "AccountNotFoundError" in names:
        return (
            "no account: set QISKIT_IBM_TOKEN and QISKIT_IBM_INSTANCE, or save one with the client "
            "(QiskitRuntimeService.save_account)"
        )
    if _key_refused(error):
        return "the account gets no access token: its API key is not (any longer) valid"
    if refused(error):
        return "the account was refused: its token is not valid, or not for this instance"
    if "NoTokenError" in names:
        return "no access token to be had now; the account may be all right"
    if numbers:
        later = "; try again later" if max(numbers) >= 429 else ""
        return f"the service answers with status {max(numbers)}{later}"
    if timed_out(error):
        return "no answer in time"
    if "JSONDecodeError" in names:
        return "an answer that makes no sense (no JSON)"
    if names & {"RequestException", "ConnectionError"}:
        return "no connection; are the network and any proxy up?"
    if "IBMInputValueError" in names:
        return "the account has no access to the instance it names (QISKIT_IBM_INSTANCE or the saved one)"
    if "AccountsError" in names:
        return "the account is not valid: its channel, token, URL or instance cannot be right"
    return f"the client stopped with {type(error).__name__}"
