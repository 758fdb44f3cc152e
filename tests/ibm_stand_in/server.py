"""HTTP on the loopback interface, with what goes wrong on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ibm_stand_in.devices import Device, Reply, error
from ibm_stand_in.faults import Fault
from ibm_stand_in.service import StandIn

CONTROL = "/_stand_in/"
"""Paths under which tests in other processes look and turn knobs; no client asks for them."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    stand_in: StandIn

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        url = urlsplit(self.path)
        if url.path.startswith(CONTROL):
            self._send(control(self.stand_in, url.path.removeprefix(CONTROL), body))
            return
        line = f"{self.command} {re.sub('^/(experimental|api/v1)(?=/)', '', url.path)}"
        fault = self.stand_in.fault(line, body)
        if fault is not None and not fault.after:
            with self.stand_in.lock:
                self.stand_in.requests.append(line)
            self._fail(fault, None)
            return
        reply = self.stand_in.answer(line, url.query, self.headers, body)
        if fault is not None:
            self._fail(fault, reply)
            return
        time.sleep(reply.delay)
        self._send(reply)

    def _send(self, reply: Reply, share: float = 1.0) -> None:
        data = reply.data
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: int(len(data) * share)])

    def _fail(self, fault: Fault, reply: Reply | None) -> None:
        if fault.kind == "status":
            self._send(Reply(fault.status, fault.body, headers=fault.headers))
            return
        if fault.kind == "malformed":
            self._send(Reply(200, b'{"id": "d12', headers=fault.headers))
            return
        if fault.kind == "kill":
            if fault.answered and reply is not None:
                self._send(reply)
                time.sleep(fault.seconds)
            with suppress(ProcessLookupError):
                os.kill(fault.process, signal.SIGKILL)
        if fault.kind == "stall":
            time.sleep(fault.seconds)
        if fault.kind == "truncated":
            self._send(reply or Reply(200, {"jobs": [], "id": "d1234567"}), share=0.5)
        else:
            # Closing resets the connection instead of ending it.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.wfile.flush()
        if fault.kind != "truncated":
            self.connection.close()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 names the base class looks for

    def handle(self) -> None:
        """Serve, and do not mind if the other side has gone."""
        try:
            super().handle()
        except (ConnectionError, ValueError):  # the latter: a file of a connection that was cut
            self.close_connection = True

    def finish(self) -> None:
        """Let go of the connection, cut or not."""
        try:
            super().finish()
        except (OSError, ValueError):
            return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the name the base class gives it
        """Keep quiet: `StandIn.requests` has it all."""


def control(state: StandIn, what: str, body: str) -> Reply:
    """Look at the service, or turn its knobs, from another process.

    Args:
        state: The service.
        what: ``audit``, ``verdict/CAMPAIGN`` (on the ``journal`` that the body names), ``requests``,
            ``faults`` (replaced by the body's list), ``queues``, ``service`` or ``devices/NAME`` (attributes
            set), ``revoke`` or ``close_sessions``.
        body: JSON.
    """
    values = json.loads(body) if body else {}
    with state.lock:
        if what == "audit":
            return Reply(200, state.audit())
        if what.startswith("verdict/"):
            from ibm_stand_in.oracle import verdict  # loads qexp, which all else here does without

            return Reply(200, verdict(Path(values["journal"]), state.books(what.removeprefix("verdict/"))))
        if what == "requests":
            return Reply(200, state.requests)
        if what == "faults":
            state.faults = [Fault(**fault) for fault in values]
        elif what in {"revoke", "close_sessions"}:
            getattr(state, what)()
        else:
            name = what.removeprefix("devices/")
            targets = {"queues": state.queues, "service": state} | {d.name: d for d in state.devices}
            if name not in targets:
                return error(404, f"nothing called {name}")
            for key, value in values.items():
                setattr(targets[name], key, value)
    return Reply(204, b"")


def serve(state: StandIn, port: int = 0) -> ThreadingHTTPServer:
    """Return a server for a service; its thread is not running yet.

    Args:
        state: The service; its URL is set.
        port: 0 for a free one.
    """
    handler = type("Handler", (_Handler,), {"stand_in": state})
    server = type("Server", (ThreadingHTTPServer,), {"request_queue_size": 128, "daemon_threads": True})(
        ("127.0.0.1", port), handler
    )
    state.url = f"http://127.0.0.1:{server.server_port}"
    return server


@contextmanager
def stand_in(devices: Iterable[Device], **knobs: Any) -> Iterator[StandIn]:
    """Serve on a free port of the loopback interface until the block ends."""
    state = StandIn(list(devices), **knobs)
    server = serve(state)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
