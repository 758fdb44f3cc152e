"""Machines as the service describes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What to answer: a status with a body (bytes go out as they are), after a delay in seconds."""

    status: int = 200
    body: Any = field(default_factory=dict)
    delay: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """The body on the wire."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def error(status: int, message: str) -> Reply:
    """The service's way to say no."""
    return Reply(status, {"errors": [{"code": status, "message": message}]})


@dataclass
class Device:
    """A machine as the service describes it.

    Attributes:
        configuration: Its configuration, as the API has it.
        properties: Its calibration, as the API has it.
        pending: Jobs of others that it reports beside those that were sent to it.
        operational: Whether it takes jobs off its queue.
        status: What it says of itself.
        reading: How it reports its queue: ``true``, ``zero`` whatever waits, ``null``, or ``missing``.
    """

    configuration: dict[str, Any]
    properties: dict[str, Any] | None
    pending: int = 0
    operational: bool = True
    status: str = "active"
    reading: str = "true"

    def __post_init__(self) -> None:
        self._encoded: dict[int, bytes] = {}

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

    def described(self, what: str) -> Reply:
        """Its configuration or properties: a megabyte, encoded once."""
        content = getattr(self, what)
        if id(content) not in self._encoded:
            self._encoded[id(content)] = json.dumps(content).encode()
        return Reply(200, self._encoded[id(content)])

    def state(self, jobs: int) -> Reply:
        """How it is doing.

        Args:
            jobs: Of ours that wait or run there.
        """
        state = {"state": self.operational, "status": self.status, "message": ""}
        version = {"backend_version": self.configuration["backend_version"]}
        return Reply(200, state | self._queue("length_queue", jobs) | version)

    def listed(self, jobs: int) -> dict[str, Any]:
        """Its entry in the list of machines."""
        return {
            "name": self.name,
            "status": {
                "name": "online" if self.operational else "offline",
                "reason": "available" if self.operational and self.status == "active" else self.status,
            },
            **self._queue("queue_length", jobs),
            "is_simulator": bool(self.configuration.get("simulator")),
            "qubits": self.configuration["n_qubits"],
            "processor_type": self.configuration.get("processor_type"),
            "clops": {"type": "hardware_aware", "value": self.configuration.get("clops_h")},
            "class": "qpu",
        }

    def _queue(self, key: str, jobs: int) -> dict[str, Any]:
        true = self.pending + jobs
        return {"true": {key: true}, "zero": {key: 0}, "null": {key: None}, "missing": {}}[self.reading]
