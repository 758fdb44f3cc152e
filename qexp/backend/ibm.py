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

from qexp.backend.calibration import node_of
from qexp.backend.machines import plain
from qexp.errors import InputError

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService
    from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

T = TypeVar("T")
Nodes = list[dict[str, Any]]
"""Nodes in the layout of a fleet file."""


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
        notes: Gets a line for each machine that is left out, or that has another stand in for it.

    Raises:
        InputError: There is none with a calibration.
    """
    nodes: Nodes = []
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
    """Return how a machine is doing now: never part of the content hash."""
    try:
        status = backend.status()
    except Exception as error:
        if not _is_of_one_machine(error):
            raise
        notes.append(f"{backend.name}: its status cannot be read")
        return {}
    state = {
        "operational": bool(status.operational),
        "status": str(status.status_msg),
        "pending_jobs": int(status.pending_jobs),
    }
    return {"live": state}


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
    """
    with _handled_by(_Unread()) as unread:
        found = [backend for backend in service.backends() if not backend.configuration().simulator]
    notes += [f"{name} is left out: its configuration cannot be read" for name in unread.names]
    if not found:
        reason = f" ({'; '.join(notes)})" if notes else ", or it would not list them"
        raise InputError(f"IBM Quantum: the account's instance has no machines{reason}")
    return sorted(found, key=lambda backend: str(backend.name))


def connect() -> QiskitRuntimeService:
    """Return the service of the user's account.

    Raises:
        InputError: There is no account, it is refused, or IBM Quantum cannot be reached.
    """
    return _client().QiskitRuntimeService()


def ask(question: Callable[[], T], seconds: float, setting: str = "--timeout", tries: int = 1) -> T:
    """Ask the service something, and wait for the answer only so long.

    The client waits for an answer without end, so the question is put in a thread that is left behind. It is
    asked quietly: what goes wrong is said once, by the error that is raised.

    Args:
        question: What to call.
        seconds: The longest wait.
        setting: What the user sets it with.
        tries: How often to ask, where the service is away or says nothing sensible.

    Raises:
        InputError: No account, a refused one, no connection, no answer in time, or an answer that makes no
            sense; one line, without the token.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def put() -> None:
        for left in reversed(range(tries)):
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
    return InputError(f"module {error.name!r} is not installed: pip install 'qexp[{extra}]'")


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
    return bool(statuses(error) & {400, 401, 403}) or "IBMNotAuthorizedError" in _kinds(error)


def _will_not_help(error: Exception) -> bool:
    """Whether it is no use to ask again."""
    of_account = {"AccountNotFoundError", "IBMInputValueError"}
    return refused(error) or bool(of_account & _kinds(error))


def _kinds(error: Exception) -> set[str]:
    return {kind.__name__ for link in chain(error) for kind in type(link).__mro__}


def reason(error: Exception) -> str:
    """Return what an error of the client comes down to, in words of our own."""
    kinds = _kinds(error)
    if "AccountNotFoundError" in kinds:
        return (
            "no account: set QISKIT_IBM_TOKEN and QISKIT_IBM_INSTANCE, or save one with the client "
            "(QiskitRuntimeService.save_account)"
        )
    if refused(error):
        return "the account was refused: its token is not valid, or not for this instance"
    if busy := sorted(status for status in statuses(error) if status >= 429):
        return f"the service answers with status {busy[0]}; try again later"
    if "RequestException" in kinds:
        return "no connection; are the network and any proxy up?"
    if "IBMInputValueError" in kinds:
        return "the account has no access to the instance it names (QISKIT_IBM_INSTANCE or the saved one)"
    if "AccountsError" in kinds:
        return "the account is not valid: its channel, token, URL or instance cannot be right"
    return f"the client stopped with {type(error).__name__}"
