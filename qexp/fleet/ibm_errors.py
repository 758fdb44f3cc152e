"""What errors of qiskit-ibm-runtime come down to, in words of our own: its own may quote the account."""

from __future__ import annotations


class NoTokenError(Exception):
    """There is no access token.

    Attributes:
        refused: Whether the API key is not accepted; else nobody gives out tokens now.
    """

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
    found = {getattr(link, "status_code", None) for link in links}
    found |= {getattr(getattr(link, "response", None), "status_code", None) for link in links}
    found |= {500 for link in links if type(link).__name__ == "RetryError"}
    return {status for status in found if isinstance(status, int) and status > 0}


def refused(error: Exception) -> bool:
    """Return whether it is the account that an error is about."""
    of, found = kinds(error), statuses(error)
    no_token = any(isinstance(link, NoTokenError) and link.refused for link in chain(error))
    # Whoever gives out tokens says 400 of a key that it does not know; the service, of a wrong question.
    return (
        no_token
        or "IBMNotAuthorizedError" in of
        or bool(found & {401, 403})
        or (400 in found and "ApiException" in of)
    )


def kinds(error: Exception) -> set[str]:
    """Return the names of all classes of an error and of what led to it."""
    return {kind.__name__ for link in chain(error) for kind in type(link).__mro__}


def timed_out(error: Exception) -> bool:
    """Return whether an error is that somebody is there and says nothing."""
    of = kinds(error)
    # A connection that is refused is of the same family.
    return bool(of & {"Timeout", "TimeoutError"}) and "NewConnectionError" not in of


def reason(error: Exception) -> str:
    """Return what an error of the client comes down to, in words of our own."""
    of, found = kinds(error), statuses(error)
    if "AccountNotFoundError" in of:
        return (
            "no account: set QISKIT_IBM_TOKEN and QISKIT_IBM_INSTANCE, or save one with the client "
            "(QiskitRuntimeService.save_account)"
        )
    if any(isinstance(link, NoTokenError) and link.refused for link in chain(error)):
        return "the account gets no access token: its API key is not (any longer) valid"
    if refused(error):
        return "the account was refused: its token is not valid, or not for this instance"
    if "NoTokenError" in of:
        return "no access token to be had now; the account may be all right"
    if found:
        later = "; try again later" if max(found) >= 429 else ""
        return f"the service answers with status {max(found)}{later}"
    if timed_out(error):
        return "no answer in time"
    if "JSONDecodeError" in of:
        return "an answer that makes no sense (no JSON)"
    if of & {"RequestException", "ConnectionError"}:
        return "no connection; are the network and any proxy up?"
    if "IBMInputValueError" in of:
        return "the account has no access to the instance it names (QISKIT_IBM_INSTANCE or the saved one)"
    if "AccountsError" in of:
        return "the account is not valid: its channel, token, URL or instance cannot be right"
    return f"the client stopped with {type(error).__name__}"
