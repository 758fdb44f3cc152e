"""The line to IBM Quantum: what the client's own sessions do about time-outs, repetition and access tokens.

The client waits without end for some answers, repeats requests that the service answered with an error, also
those that start a job, and sends the API key itself where it gets no access token. Here each request has a
time-out, only questions are repeated, and without an access token nothing is sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from requests import ConnectTimeout, PreparedRequest, RequestException, Response
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError
from urllib3.util.retry import Retry

from qexp.backend.ibm import statuses
from qexp.deploy.executor import AccountError, UnreachableError

if TYPE_CHECKING:
    from qiskit_ibm_runtime.api.auth import CloudAuth
    from qiskit_ibm_runtime.api.client import RuntimeClient

# What a gateway answers while the service behind it is away.
AWAY = (500, 502, 503, 504, 520, 521, 522, 524)
REPETITIONS = 2


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


class Access(AuthBase):
    """Puts an access token on each request, or raises where there is none.

    Args:
        cloud: The client's own.
        timeout: Of the requests for tokens, seconds.
    """

    def __init__(self, cloud: CloudAuth, timeout: float) -> None:
        self._crn, self._tokens = cloud.crn, cloud.tm
        self._tokens.http_config = {**self._tokens.http_config, "timeout": timeout}

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request."""
        request.headers.update(self.headers())
        return request

    def headers(self) -> dict[str, str]:
        """Return what a request is signed with.

        Raises:
            AccountError: The account gets no access token.
            UnreachableError: Nobody gives out tokens now.
        """
        try:
            token = self._tokens.get_token()
        except Exception as error:  # noqa: BLE001 the client's SDK raises all kinds
            # Else the next request would wait for this one to end, for up to a minute.
            self._tokens.request_time = 0
            token = self._tokens.access_token
            # An early renewal that fails costs nothing: the old token is still good.
            if not token or self._tokens.expire_time <= time.time():
                raise _no_token(error) from None
        return {"Service-CRN": self._crn, "Authorization": f"Bearer {token}"}

    def renew(self) -> None:
        """Forget the access token: the service does not take it any more, whatever it says itself."""
        self._tokens.access_token, self._tokens.expire_time = None, 0


def _no_token(error: Exception) -> AccountError | UnreachableError:
    if statuses(error) & {400, 401, 403}:
        return AccountError(
            "IBM Quantum: the account gets no access token: its API key is not (any longer) valid"
        )
    return UnreachableError("IBM Quantum: no access token to be had now; the account may be all right")


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
        self._again = HTTPAdapter(
            max_retries=Retry(
                total=REPETITIONS,
                read=1,
                backoff_factor=0.2,
                status_forcelist=AWAY,
                allowed_methods={"GET"},
                raise_on_status=False,
                respect_retry_after_header=False,  # the campaign waits by itself, and does other things
            )
        )

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
    """
    from email.utils import parsedate_to_datetime

    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return min(float(text), 86400.0)
    with suppress(ValueError, OverflowError):
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
        return min(max(seconds, 0.0), 86400.0)
    return default
