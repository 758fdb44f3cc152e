"""A server on the loopback interface that speaks as much of IBM Quantum's REST API as the tests need.

The client that talks to it is the unmodified qiskit-ibm-runtime; `StandIn.environment` points it here. What a
machine is comes from the files that the client's fake backends are made of, which are the API's own answers.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "stand-in-token-0123456789abcdefghijklmnopqrs"  # noqa: S105 opens nothing but this server
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:stand-in-instance::"
PLAN = "stand-in-plan"


@dataclass
class Device:
    """A machine as the service describes it."""

    configuration: dict[str, Any]
    properties: dict[str, Any] | None
    pending: int = 0
    operational: bool = True
    status: str = "active"

    @property
    def name(self) -> str:
        return self.configuration["backend_name"]

    @classmethod
    def of_fake(cls, name: str, **state: Any) -> Device:
        """The machine of a fake backend: `fez` for FakeFez."""
        folder = resources.files("qiskit_ibm_runtime.fake_provider.backends") / name
        conf, props = (
            json.loads((folder / f"{kind}_{name}.json").read_text("utf-8")) for kind in ("conf", "props")
        )
        return cls(conf, props, **state)


@dataclass(frozen=True)
class Reply:
    """What to answer instead: a status with a body, after a delay in seconds."""

    status: int = 200
    body: Any = field(default_factory=dict)
    delay: float = 0.0


@dataclass
class StandIn:
    """The service's state, and the knobs a test turns.

    Attributes:
        devices: The machines.
        instead: Replies by pattern of "METHOD /path"; the first that matches replaces the real one.
        requests: Every request so far, as "METHOD /path".
    """

    devices: list[Device]
    token: str = TOKEN
    crn: str = CRN
    instead: dict[str, Reply] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which the client takes this server for IBM Quantum."""
        return {
            "QISKIT_IBM_CHANNEL": "ibm_quantum_platform",
            "QISKIT_IBM_TOKEN": self.token,
            "QISKIT_IBM_INSTANCE": self.crn,
            # The client leaves a URL with this word in it as it is.
            "QISKIT_IBM_URL": f"{self.url}/experimental",
            "IAM_URL": self.url,
            "GLOBAL_SEARCH_URL": self.url,
            "GLOBAL_CATALOG_URL": f"{self.url}/api/v1",
            "NO_PROXY": "127.0.0.1",
        }

    def answer(self, method: str, path: str, headers: Any, body: str) -> Reply:
        """Answer one request."""
        line = f"{method} {path}"
        self.requests.append(line)
        for pattern, reply in self.instead.items():
            if re.fullmatch(pattern, line):
                return reply
        if line == "POST /identity/token":
            return self._identify(body)
        if headers["Authorization"] != f"Bearer {_access_token()}":
            return _error(401, "not authorised")
        for pattern, handler in _ROUTES:
            if found := re.fullmatch(pattern, line):
                if "/backends" in pattern and headers["Service-CRN"] != self.crn:
                    return _error(403, "no such instance")
                return handler(self, *found.groups())
        return _error(404, f"no {line}")

    def _identify(self, body: str) -> Reply:
        if parse_qs(body).get("apikey") != [self.token]:
            return Reply(
                400, {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
            )
        now = int(time.time())
        lasts = {"expires_in": 3600, "expiration": now + 3600}
        return Reply(
            200, {"access_token": _access_token(), "refresh_token": "none", "token_type": "Bearer"} | lasts
        )

    def _search(self) -> Reply:
        instance = {
            "crn": self.crn,
            "name": "stand-in",
            "service_plan_unique_id": PLAN,
            "tags": [],
            "doc": {"extensions": {"usage_allocation": 600}},
        }
        return Reply(200, {"items": [instance], "limit": 100})

    def _plan(self) -> Reply:
        display = {"en": {"display_name": "Open"}}
        return Reply(200, {"name": "open", "overview_ui": display, "metadata": {"pricing": {"type": "free"}}})

    def _backends(self) -> Reply:
        return Reply(200, {"devices": [_listed(device) for device in self.devices]})

    def _backend(self, name: str, what: str) -> Reply:
        device = next((device for device in self.devices if device.name == name), None)
        if device is None:
            return _error(404, f"no backend {name}")
        if what == "status":
            state = {"state": device.operational, "status": device.status, "message": ""}
            return Reply(
                200,
                state
                | {
                    "length_queue": device.pending,
                    "backend_version": device.configuration["backend_version"],
                },
            )
        return Reply(200, device.configuration if what == "configuration" else device.properties)


_ROUTES: list[tuple[str, Callable[..., Reply]]] = [
    (r"POST /v3/resources/search", StandIn._search),
    (rf"GET /{PLAN}", StandIn._plan),
    (r"GET /backends", StandIn._backends),
    (r"GET /backends/([^/]+)/(configuration|properties|status)", StandIn._backend),
]


def _error(status: int, message: str) -> Reply:
    return Reply(status, {"errors": [{"code": status, "message": message}]})


def _listed(device: Device) -> dict[str, Any]:
    configuration = device.configuration
    return {
        "name": device.name,
        "status": {
            "name": "online" if device.operational else "offline",
            "reason": "available" if device.operational else device.status,
        },
        "queue_length": device.pending,
        "is_simulator": bool(configuration.get("simulator")),
        "qubits": configuration["n_qubits"],
        "processor_type": configuration.get("processor_type"),
        "clops": {"type": "hardware_aware", "value": configuration.get("clops_h")},
        "class": "qpu",
    }


def _access_token() -> str:
    """An unsigned JSON web token: the client reads when it ends and checks no signature."""
    now = int(time.time()) // 86400 * 86400
    parts = ({"alg": "none"}, {"iat": now, "exp": now + 10 * 86400, "iam_id": "IBMid-stand-in"})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join([*encoded, "unsigned"])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        path = re.sub("^/(experimental|api/v1)(?=/)", "", urlsplit(self.path).path)
        reply = self.stand_in.answer(self.command, path, self.headers, body)
        time.sleep(reply.delay)
        data = json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _serve  # noqa: N815 names the base class looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the name the base class gives it
        """Keep quiet: `StandIn.requests` has it all."""


@contextmanager
def stand_in(devices: Iterable[Device]) -> Iterator[StandIn]:
    """Serve on a free port of the loopback interface until the block ends."""
    state = StandIn(list(devices))
    handler = type("Handler", (_Handler,), {"stand_in": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
