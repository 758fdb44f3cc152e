"""The connection to IBM Quantum: time-outs, repetition and access tokens of the client's own requests.

The client waits without end for some answers, repeats requests that the service answered with an error, also
those that start a job, and sends the API key itself where it gets no access token. Here each request may have
a time-out, only questions are repeated, and without an access token nothing is sent.
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
from urllib3.util.retry import Retry

from qexp.fleet.ibm_errors import AWAY, TRIES, NoTokenError, statuses

if TYPE_CHECKING:
    from qiskit_ibm_runtime.api.auth import CloudAuth
    from qiskit_ibm_runtime.api.client import RuntimeClient

LONGEST = 3600.0
"""The longest pause that the service may ask for, seconds."""


@dataclass
class Submission:
    """The outcome of the one request that submits a job.

    Attributes:
        left: Whether any of it may have reached the service.
        response: The answer, if there was one.
    """

    left: bool = True
    response: Response | None = None

    @property
    def answer(self) -> dict[str, Any]:
        """The service's words; empty if that is no object, or cut off."""
        with suppress(ValueError, RequestException, RuntimeError):  # the last one: cut off, and read twice
            answer = self.response.json() if self.response is not None else None
            return answer if isinstance(answer, dict) else {}
        return {}

    @property
    def job(self) -> str | None:
        """Id of the job, None if the answer is not that one was accepted, or is not to be read."""
        accepted = self.response is not None and 200 <= self.response.status_code < 300
        name = self.answer.get("id") if accepted else None
        return name if isinstance(name, str) and name else None

    @property
    def codes(self) -> set[int]:
        """The service's own codes of what is wrong, as far as the answer has any."""
        errors = self.answer.get("errors")
        errors = errors if isinstance(errors, list) else []
        codes = {str(error.get("code")) for error in errors if isinstance(error, dict)}
        return {int(code) for code in codes if code.isdecimal()}


class Connection(BaseAdapter):
    """Signs and sends the requests of one client.

    A question that is not answered, or answered with an error of the service, is asked again; nothing else is
    ever repeated, but for what was refused because the access token had expired, and is no submission.

    Args:
        auth: The client's own: it knows the account, and sends the API key where it gets no access token.
        timeout: The longest wait for a connection, for an access token, and for the service to say something,
            seconds; None for the client's.
    """

    def __init__(self, auth: CloudAuth, timeout: float | None) -> None:
        super().__init__()
        self.timeout = timeout
        self.submission: Submission | None = None
        self._crn, self._tokens = auth.crn, auth.tm
        if timeout is not None:
            self._tokens.http_config = {**self._tokens.http_config, "timeout": timeout}
        self._once = HTTPAdapter(max_retries=0)
        retry = Retry(
            total=TRIES - 1,
            read=1,
            backoff_factor=0.2,
            status_forcelist=AWAY,
            allowed_methods={"GET"},
            raise_on_status=False,
            respect_retry_after_header=False,  # whoever asks waits by itself, and does other things
        )
        self._again = HTTPAdapter(max_retries=retry)

    def sign(self, request: PreparedRequest) -> PreparedRequest:
        """Put an access token on a request; raise `NoTokenError` where there is none."""
        try:
            token = self._tokens.get_token()
        except Exception as error:  # noqa: BLE001 the client's SDK raises all kinds
            # Else the next request would wait for this one to end, for up to a minute.
            self._tokens.request_time = 0
            token = self._tokens.access_token
            # An early renewal that fails costs nothing: the old token is still good.
            if not token or self._tokens.expire_time <= time.time():
                raise NoTokenError(refused=bool(statuses(error) & {400, 401, 403})) from None
        request.headers.update({"Service-CRN": self._crn, "Authorization": f"Bearer {token}"})
        return request

    def renew(self) -> None:
        """Forget the access token: the service does not take it any more, whatever it says itself."""
        self._tokens.access_token, self._tokens.expire_time = None, 0

    def expect(self) -> None:
        """Let one submission pass; another before this is called again is a repetition, and is stopped."""
        self.submission = None

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Send a request, see `requests.adapters.BaseAdapter.send`."""
        if self.timeout is not None:
            options["timeout"] = self.timeout
        if request.method == "POST" and urlsplit(str(request.url)).path.endswith("/jobs"):
            return self._submit(request, *args, **options)
        adapter = self._again if request.method == "GET" else self._once
        response = adapter.send(request, *args, **options)
        if response.status_code == 401:
            response.close()
            self.renew()
            response = adapter.send(self.sign(request.copy()), *args, **options)
        return response

    def _submit(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        if self.submission is not None:
            raise RequestException("sent already")  # a redirection, for instance
        self.submission = Submission()
        try:
            self.submission.response = self._once.send(request, *args, **options)
        except RequestException as error:
            self.submission.left = not _never_connected(error)
            raise
        return self.submission.response

    def close(self) -> None:
        """Close all connections."""
        self._once.close()
        self._again.close()


def _never_connected(error: RequestException) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(error, ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)


def take_over(client: RuntimeClient, timeout: float | None = None) -> Connection:
    """Make a client use a connection of ours.

    Args:
        client: Of one instance of the account.
        timeout: Of each request, seconds; None for the client's.
    """
    session = client._session  # noqa: SLF001 the client has no other way in
    for adapter in session.adapters.values():
        if isinstance(adapter, Connection):
            adapter.timeout = timeout
            return adapter
    connection = Connection(session.auth, timeout)
    session.auth = connection.sign
    for prefix in list(session.adapters):
        session.mount(prefix, connection)
    return connection


def retry_after(headers: Mapping[str, str], default: float) -> float:
    """Return how long an answer asks to wait, seconds: at least one, at most `LONGEST`.

    Args:
        headers: Of the answer; ``Retry-After`` is a number of seconds or a date (RFC 9110, 10.2.3).
        default: Where it does not say, or nothing sensible.
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
    """Return an HTTP date as seconds since the epoch; None if it is none."""
    with suppress(ValueError, OverflowError):
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None
