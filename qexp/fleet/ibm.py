"""Reaches machines through qiskit-ibm-runtime: its fake backends, and live ones with the user's account.

The account comes from the client's environment variables or its saved file, never from an argument, and no
message repeats what the service or the client said about it: that may hold a token.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from qexp.errors import InputError
from qexp.fleet.calibration import node_of
from qexp.fleet.fleet import MOST
from qexp.fleet.ibm_errors import NoTokenError, kinds, reason, refused, statuses
from qexp.fleet.machines import plain

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService
    from qiskit_ibm_runtime.api.auth import CloudAuth
    from qiskit_ibm_runtime.api.client import RuntimeClient
    from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2
    from requests import PreparedRequest
    from requests.adapters import HTTPAdapter

T = TypeVar("T")
Nodes = list[dict[str, Any]]
"""Nodes in the layout of a fleet file."""

AWAY = (500, 502, 503, 504, 520, 521, 522, 524)
"""What a gateway answers while the service behind it is away."""
TRIES = 3
"""How often something is asked for before the service counts as away."""


class Access:
    """Puts an access token on each request, or raises where there is none.

    The client's own sends the API key itself then.

    Args:
        cloud: The client's own.
        timeout: Of the requests for tokens, seconds; None for the client's.
    """

    def __init__(self, cloud: CloudAuth, timeout: float | None = None) -> None:
        self.crn, self.tm = cloud.crn, cloud.tm
        if timeout is not None:
            self.tm.http_config = {**self.tm.http_config, "timeout": timeout}

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request."""
        request.headers.update(self.headers())
        return request

    def headers(self) -> dict[str, str]:
        """Return what a request is signed with.

        Raises:
            NoTokenError: There is no access token.
        """
        try:
            token = self.tm.get_token()
        except Exception as error:  # noqa: BLE001 the client's SDK raises all kinds
            # Else the next request would wait for this one to end, for up to a minute.
            self.tm.request_time = 0
            token = self.tm.access_token
            # An early renewal that fails costs nothing: the old token is still good.
            if not token or self.tm.expire_time <= time.time():
                raise NoTokenError(refused=bool(statuses(error) & {400, 401, 403})) from None
        return {"Service-CRN": self.crn, "Authorization": f"Bearer {token}"}

    def renew(self) -> None:
        """Forget the access token: the service does not take it any more, whatever it says itself."""
        self.tm.access_token, self.tm.expire_time = None, 0


def patient() -> HTTPAdapter:
    """Return a way to send requests that asks again where it gets no answer, or the service is away."""
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    retry = Retry(
        total=TRIES - 1,
        read=1,
        backoff_factor=0.2,
        status_forcelist=AWAY,
        allowed_methods={"GET"},
        raise_on_status=False,
        respect_retry_after_header=False,  # whoever asks waits by itself, and does other things
    )
    return HTTPAdapter(max_retries=retry)


def _plainly(client: RuntimeClient) -> None:
    """Make a client send access tokens only, and repeat questions only, and those no more than is useful."""
    session = client._session  # noqa: SLF001 the client has no other way in
    session.auth = Access(session.auth)
    for prefix in list(session.adapters):
        session.mount(prefix, patient())


def fake_names() -> list[str]:
    """Return the machines that the client has a calibration snapshot of, as `fake_backend` takes them."""
    found = {plain(name) for name in vars(_client().fake_provider) if name.startswith("Fake")}
    # Besides machines there are lists of them, and one that no machine stands behind.
    return sorted(name for name in found if not name.endswith(("provider", "backend")))


def fake_backend(name: str) -> FakeBackendV2:
    """Return the client's snapshot of a machine; ``fez``, ``FakeFez`` and ``ibm_fez`` are the same.

    Raises:
        InputError: qiskit-ibm-runtime is not installed, or has no such machine.
    """
    provider = _client().fake_provider
    if plain(name) not in fake_names():
        raise InputError(f"{name}: the client has no such fake backend; it has {', '.join(fake_names())}")
    title = f"Fake{plain(name).capitalize()}"
    backend = getattr(provider, f"{title}V2", None) or getattr(provider, title)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one is made up and says so; the snapshot's date tells
        return backend()


def live_nodes(notes: list[str]) -> Nodes:
    """Read every machine of the user's account, as nodes of the fleet format.

    Args:
        notes: Will have a line for each machine that is left out, or of which something is not known, or
            that has another stand in for it.

    Raises:
        InputError: There is none with a calibration.
    """
    nodes: Nodes = []
    notes.clear()  # of what an attempt before this one said
    for backend in live_backends(connect(), notes):
        try:
            node, note = node_of(backend, backend.name)
        except Exception as error:
            if not isinstance(error, InputError) and not _is_of_one_machine(error):
                raise
            reason = error if isinstance(error, InputError) else "its calibration cannot be read"
            notes.append(f"{backend.name} is left out: {reason}")
            continue
        notes += [note] if note else []
        source = node.pop("source")
        nodes.append(node | _live(backend, notes) | {"source": source})
    if not nodes:
        raise InputError(f"IBM Quantum: no machine is calibrated ({'; '.join(notes)})")
    return nodes


def _live(backend: IBMBackend, notes: list[str]) -> dict[str, Any]:
    """Return how a machine is doing now, if it says so: never part of the content hash."""
    try:
        status = machine_status(backend._api_client, backend.name)  # noqa: SLF001 no other way in
        word, pending = str(status.get("status") or "unknown"), status.get("length_queue")
    except Exception as error:
        answered = isinstance(error, AttributeError | ValueError)  # but not with an object
        if not answered and not (statuses(error) & {404, *AWAY}):
            raise
        notes.append(f"{backend.name}: its status cannot be read")
        return {}
    if isinstance(pending, bool) or not isinstance(pending, int | float) or not 0 <= pending < MOST:
        notes.append(f"{backend.name}: the length of its queue is not known")
        return {}
    return {"live": {"operational": bool(status.get("state")), "status": word, "pending_jobs": int(pending)}}


def machine_status(client: RuntimeClient, name: str) -> Any:
    """Return what the service says of how a machine is doing.

    The client's own way stumbles over a queue length that is null.
    """
    return client._session.get(f"/backends/{name}/status").json()  # noqa: SLF001 no other way in


def _is_of_one_machine(error: Exception) -> bool:
    """Whether the service answers, but has nothing on this machine: with the others it may be different."""
    return 404 in statuses(error)


def live_backends(service: QiskitRuntimeService, notes: list[str]) -> list[IBMBackend]:
    """Return the machines that an account may use, sorted by name; simulators are left out.

    Args:
        service: The account's.
        notes: Gets a line for each machine that the service lists but does not describe.

    Raises:
        InputError: There are none.
        Exception: Of the client, where it does not get the list.
    """
    with _handled_by(_Unread()) as unread:
        found = [backend for backend in service.backends() if not backend.configuration().simulator]
    notes += [f"{name} is left out: its configuration cannot be read" for name in unread.names]
    if not found:
        for client in service._get_api_clients().values():  # noqa: SLF001 no other way in
            client.list_backends()  # says what is wrong; the service only has no machines then
        reason = f" ({'; '.join(notes)})" if notes else ""
        raise InputError(f"IBM Quantum: the account's instance has no machines{reason}")
    return sorted(found, key=lambda backend: str(backend.name))


def connect(adopt: Callable[[RuntimeClient], object] = _plainly) -> QiskitRuntimeService:
    """Return the service of the user's account.

    Args:
        adopt: Called with each of its clients before that asks for anything.

    Raises:
        InputError: There is no account, it is refused, or IBM Quantum cannot be reached.
    """

    class Service(_client().QiskitRuntimeService):  # type: ignore[misc]
        # Its constructor asks already, always through what it keeps under this name.
        @property
        def _active_api_client(self) -> RuntimeClient:
            return self._adopted

        @_active_api_client.setter
        def _active_api_client(self, client: RuntimeClient) -> None:
            if not isinstance(client._session.auth, Access):  # noqa: SLF001 no other way in
                adopt(client)
            self._adopted = client

    return Service()


def ask(question: Callable[[], T], seconds: float, setting: str = "--timeout") -> T:
    """Ask the service something, and wait for the answer only so long.

    The client waits for an answer without end, so the question is put in a thread that is left behind. It is
    asked quietly, and up to `TRIES` times where the service is away or says nothing sensible; what goes wrong
    is said once, by the error that is raised.

    Args:
        question: What to call.
        seconds: The longest wait.
        setting: What the user sets it with.

    Raises:
        InputError: No account, a refused one, no connection, no answer in time, or an answer that makes no
            sense; one line, without the token.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def put() -> None:
        for left in reversed(range(TRIES)):
            try:
                answer = question()
            except Exception as error:  # noqa: BLE001 carried over to the caller's thread
                if not left or isinstance(error, InputError) or _will_not_help(error):
                    errors.append(error)
                    return
                time.sleep(1.0)
            else:
                answers.append(answer)
                return

    with quiet():
        thread = threading.Thread(target=put, daemon=True)
        thread.start()
        thread.join(seconds)
    if errors:
        raise _in_words(errors[0]) from None
    if not answers:
        raise InputError(f"IBM Quantum: no answer within {seconds:g} s; {setting} sets how long to wait")
    return answers[0]


def _client() -> Any:
    try:
        import qiskit_ibm_runtime
        import qiskit_ibm_runtime.fake_provider
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    return qiskit_ibm_runtime


def missing_extra(error: ModuleNotFoundError, extra: str = "catalogue") -> InputError:
    """Return the message for a command without the packages it needs."""
    return InputError(f"module {error.name!r} is not installed: pip install -e '.[{extra}]' in a checkout")


class _Unread(logging.Handler):
    """Collects the machines that the client leaves out: it says so in its log only."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith("Backend %s creation failed") and isinstance(record.args, tuple):
            self.names.append(str(record.args[0]))


H = TypeVar("H", bound=logging.Handler)


@contextmanager
def _handled_by(handler: H) -> Iterator[H]:
    """Give what the client logs to one handler alone."""
    log = logging.getLogger("qiskit_ibm_runtime")
    before, log.handlers = log.handlers, [handler]
    try:
        yield handler
    finally:
        log.handlers = before


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the client's and its libraries' warnings and tracebacks off the console and out of logs."""
    _client()  # attaches its own handlers when first imported
    root, nothing = logging.getLogger(), logging.NullHandler()
    # Where the root logger has no handler, logging.exception() of the IBM SDK installs one that prints.
    before, root.handlers = root.handlers, [nothing]
    try:
        with _handled_by(nothing), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers = before


def _in_words(error: Exception) -> InputError:
    """Say what went wrong in words of our own: those of the client may quote the account."""
    if isinstance(error, InputError):
        return error
    return InputError(f"IBM Quantum: {reason(error)}")


def _will_not_help(error: Exception) -> bool:
    """Whether it is no use to ask again."""
    of_account = {"AccountNotFoundError", "IBMInputValueError"}
    return refused(error) or bool(of_account & kinds(error))
