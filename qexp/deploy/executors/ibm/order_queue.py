"""The line to IBM Quantum: what the client's own sessions do about time-outs, repetition and access tokens.

The client waits without end for some answers, repeats requests that the service answered with an error, also
those that start a job, and sends the API key itself where it gets no access token. Here each request has a
time-out, only questions are repeated, and without an access token nothing is sent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from requests import ConnectTimeout, PreparedRequest, RequestException, Response
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from qexp.fleet.ibm import Access, patient

if TYPE_CHECKING:
    from qiskit_ibm_runtime.api.client import RuntimeClient

LONGEST = 3600.0
"""The longest pause that the service may ask for, seconds."""


@dataclass
class Sent:
    """What became of the one request that submits a job.

    Attributes:
        left: Whether any of it may have reached the service.
        response: The answer, if there was one.
    """

    left: bool = True
    response: Response | None = None

    @property
    def status(self) -> int | None:
        """HTTP status of the answer, None without one."""
        return None if self.response is None else self.response.status_code

    @property
    def job(self) -> str | None:
        """Id of the job, None if the answer is not that one was accepted, or is not to be read."""
        if self.response is None or not 200 <= self.response.status_code < 300:
            return None
        with suppress(
            ValueError, RequestException, RuntimeError
        ):  # not JSON; cut off; cut off and read twice
            answer = self.response.json()
            if isinstance(answer, dict) and isinstance(answer.get("id"), str) and answer["id"]:
                return str(answer["id"])
        return None

    @property
    def codes(self) -> set[int]:
        """The service's own codes of what is wrong, as far as the answer has any."""
        found: set[int] = set()
        with suppress(ValueError, RequestException, RuntimeError):
            answer = self.response.json() if self.response is not None else None
            errors = answer.get("errors") if isinstance(answer, dict) else None
            for error in errors if isinstance(errors, list) else []:
                code = str(error.get("code")) if isinstance(error, dict) else ""
                found |= {int(code)} if code.isdecimal() else set()
        return found


class Line(BaseAdapter):
    """Sends the requests of one client.

    A question that is not answered, or answered with an error of the service, is asked again; nothing else is
    ever repeated, but for what was refused because the access token had expired, and is no submission.

    Args:
        access: Signs requests.
        timeout: The longest wait for a connection, and for the service to say something, seconds.
    """

    def __init__(self, access: Access, timeout: float) -> None:
        super().__init__()
        self.access, self.timeout = access, timeout
        self._sent: Sent | None = None
        self._once = HTTPAdapter(max_retries=0)
        self._again = patient()

    def expect(self) -> None:
        """Let one submission pass; another before this is called again is a repetition, and is stopped."""
        self._sent = None

    @property
    def sent(self) -> Sent | None:
        """What became of the submission; None if none was tried."""
        return self._sent

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Send a request, see `requests.adapters.BaseAdapter.send`."""
        options["timeout"] = self.timeout
        if request.method == "POST" and urlsplit(str(request.url)).path.endswith("/jobs"):
            return self._submit(request, *args, **options)
        adapter = self._again if request.method == "GET" else self._once
        response = adapter.send(request, *args, **options)
        if response.status_code == 401:
            response.close()
            self.access.renew()
            response = adapter.send(self.access(request.copy()), *args, **options)
        return response

    def _submit(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        if self._sent is not None:
            raise RequestException("sent already")  # a redirection, for instance
        self._sent = Sent()
        try:
            self._sent.response = self._once.send(request, *args, **options)
        except RequestException as error:
            self._sent.left = not _never_connected(error)
            raise
        return self._sent.response

    def close(self) -> None:
        """Close all connections."""
        self._once.close()
        self._again.close()


def _never_connected(error: RequestException) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(error, ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)


def take_over(client: RuntimeClient, timeout: float) -> Line:
    """Make a client use a line of ours.

    Args:
        client: Of one instance of the account.
        timeout: Of each request, seconds.
    """
    session = client._session  # noqa: SLF001 the client has no other way in
    for adapter in session.adapters.values():
        if isinstance(adapter, Line):
            adapter.timeout = timeout
            return adapter
    session.auth = Access(session.auth, timeout)
    line = Line(session.auth, timeout)
    for prefix in list(session.adapters):
        session.mount(prefix, line)
    return line


def retry_after(headers: Mapping[str, str], default: float) -> float:
    """Return how long an answer asks to wait, seconds.

    Args:
        headers: Of the answer; ``Retry-After`` is a number of seconds or a date (RFC 9110, 10.2.3).
        default: Where it does not say, or nothing sensible.

    Returns:
        At least a second, at most `LONGEST`.
    """
    text = headers.get("Retry-After", "").strip()
    with suppress(ValueError, OverflowError):
        seconds = float(text)
        return min(max(seconds, 1.0), LONGEST) if math.isfinite(seconds) else default
    # A date is one of the service's clock, which may differ from ours: what its answer says is now there.
    until, now = _date(text), _date(headers.get("Date", ""))
    if until is None:
        return default
    return min(max(until - (time.time() if now is None else now), 1.0), LONGEST)


def _date(text: str) -> float | None:
    """Return the moment that a date of HTTP names, seconds since the epoch; None if it is none."""
    with suppress(ValueError, OverflowError):
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None
