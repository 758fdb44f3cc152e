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
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from annotated_types import Gt, Le
from typing_extensions import Doc

from qexp.config.option import option
from qexp.errors import InputError
from qexp.fleet.calibration import node_of
from qexp.fleet.fleet import MOST, Fleet, FleetSource, QNode
from qexp.fleet.ibm_errors import AWAY, TRIES, kinds, reason, refused, statuses
from qexp.fleet.machines import plain

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService
    from qiskit_ibm_runtime.api.client import RuntimeClient
    from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

log = logging.getLogger(__name__)
T = TypeVar("T")
Nodes = list[dict[str, Any]]
"""Nodes in the layout of a fleet file."""


@option("backend", "ibm")
@dataclass(frozen=True)
class LiveFleet(FleetSource):
    """The machines that your IBM Quantum account sees now."""

    fixed: ClassVar[bool] = False

    timeout: Annotated[float, Gt(0), Le(3600), Doc("The longest wait for the service, seconds.")] = 120.0

    def load(self) -> Fleet:
        """Ask for the machines, see `FleetSource.load`."""
        taken = datetime.now(UTC).replace(microsecond=0)
        nodes, notes = ask(live_nodes, self.timeout, "backend.timeout")
        for note in notes:
            log.warning("%s", note)
        return Fleet("ibm", tuple(QNode.model_validate(node) for node in nodes), taken)


def fake_names() -> list[str]:
    """Return the machines that the client has a calibration snapshot of, as `fake_backend` takes them."""
    names = {plain(name) for name in vars(_client().fake_provider) if name.startswith("Fake")}
    # Besides machines there are lists of them, and one that no machine stands behind.
    return sorted(name for name in names if not name.endswith(("provider", "backend")))


def fake_backend(name: str) -> FakeBackendV2:
    """Return the client's snapshot of a machine, or raise `InputError`; ``FakeFez`` is ``ibm_fez``."""
    provider = _client().fake_provider
    if plain(name) not in fake_names():
        raise InputError(f"{name}: the client has no such fake backend; it has {', '.join(fake_names())}")
    title = f"Fake{plain(name).capitalize()}"
    backend = getattr(provider, f"{title}V2", None) or getattr(provider, title)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one is made up and says so; the snapshot's date tells
        return backend()


def live_nodes() -> tuple[Nodes, list[str]]:
    """Read every machine of the user's account, as nodes of the fleet format.

    Returns:
        The nodes, and a line for each machine that is left out, or of which something is not known, or that
        has another stand in for it.

    Raises:
        InputError: There is none with a calibration.
    """
    nodes: Nodes = []
    backends, notes = live_backends(connect())
    for backend in backends:
        try:
            node, note = node_of(backend, backend.name)
        except Exception as error:
            # 404: the service answers, but has nothing on this machine.
            if not isinstance(error, InputError) and 404 not in statuses(error):
                raise
            why = error if isinstance(error, InputError) else "its calibration cannot be read"
            notes.append(f"{backend.name} is left out: {why}")
            continue
        live, problem = _live(backend)
        notes += [note] if note else []
        notes += [f"{backend.name}: {problem}"] if problem else []
        source = node.pop("source")
        nodes.append(node | live | {"source": source})
    if not nodes:
        raise InputError(f"IBM Quantum: no machine is calibrated ({'; '.join(notes)})")
    return nodes, notes


def _live(backend: IBMBackend) -> tuple[dict[str, Any], str | None]:
    """Return how a machine is doing now (never part of the content hash), or what of it is not known."""
    try:
        status = machine_status(backend._api_client, backend.name)  # noqa: SLF001 no other way in
        word, pending = str(status.get("status") or "unknown"), status.get("length_queue")
    except Exception as error:
        answered = isinstance(error, AttributeError | ValueError)  # but not with an object
        if not answered and not (statuses(error) & {404, *AWAY}):
            raise
        return {}, "its status cannot be read"
    if isinstance(pending, bool) or not isinstance(pending, int | float) or not 0 <= pending < MOST:
        return {}, "the length of its queue is not known"
    live = {"operational": bool(status.get("state")), "status": word, "pending_jobs": int(pending)}
    return {"live": live}, None


def machine_status(client: RuntimeClient, name: str) -> Any:
    """Return how a machine is doing by the service: the client stumbles over a queue length that is null.

    Args:
        client: Connection to the service.
        name: Of the machine, such as ``ibm_fez``.
    """
    return client._session.get(f"/backends/{name}/status").json()  # noqa: SLF001 no other way in


def live_backends(service: QiskitRuntimeService) -> tuple[list[IBMBackend], list[str]]:
    """Return the machines that an account may use, sorted by name; simulators are left out.

    Returns:
        The machines, and a line for each that the service lists but does not describe.

    Raises:
        InputError: There are none.
        Exception: Of the client, where it does not get the list.
    """
    with _handled_by(_Unread()) as unread:
        backends = [backend for backend in service.backends() if not backend.configuration().simulator]
    notes = [f"{name} is left out: its configuration cannot be read" for name in unread.names]
    if not backends:
        for client in service._get_api_clients().values():  # noqa: SLF001 no other way in
            client.list_backends()  # says what is wrong; the service only has no machines then
        why = f" ({'; '.join(notes)})" if notes else ""
        raise InputError(f"IBM Quantum: the account's instance has no machines{why}")
    return sorted(backends, key=lambda backend: str(backend.name)), notes


def connect(timeout: float | None = None) -> QiskitRuntimeService:
    """Return the service of the user's account, its requests by `ibm_connection`.

    Each may have a time-out, seconds. What is wrong is the client's to say.
    """
    client = _client()
    from qexp.fleet.ibm_connection import take_over

    class Service(client.QiskitRuntimeService):  # type: ignore[misc, name-defined]
        # Its constructor asks already, always through what it keeps under this name.
        @property
        def _active_api_client(self) -> RuntimeClient:
            return self._client

        @_active_api_client.setter
        def _active_api_client(self, client: RuntimeClient) -> None:
            take_over(client, timeout)
            self._client = client

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
                answers.append(question())
            except Exception as error:  # noqa: BLE001 carried over to the caller's thread
                if not left or _is_final(error):
                    errors.append(error)
                    return
            else:
                return
            time.sleep(1.0)

    with quiet():
        thread = threading.Thread(target=put, daemon=True)
        thread.start()
        thread.join(seconds)
    if errors:
        error = errors[0]
        raise (
            error if isinstance(error, InputError) else InputError(f"IBM Quantum: {reason(error)}")
        ) from None
    if not answers:
        raise InputError(f"IBM Quantum: no answer within {seconds:g} s; {setting} sets how long to wait")
    return answers[0]


def _is_final(error: Exception) -> bool:
    """Return whether it is no use to ask again."""
    of_account = {"InputError", "AccountNotFoundError", "IBMInputValueError"}
    return refused(error) or bool(of_account & kinds(error))


def _client() -> Any:
    try:
        import qiskit_ibm_runtime
        import qiskit_ibm_runtime.fake_provider
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    return qiskit_ibm_runtime


def missing_extra(error: ModuleNotFoundError, extra: str = "catalogue") -> InputError:
    """Return the message for a command without the packages it needs.

    Args:
        error: The failed import.
        extra: The project's extra that has the package.
    """
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
