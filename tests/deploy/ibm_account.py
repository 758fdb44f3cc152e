"""An account at IBM Quantum's stand-in, and executors on it."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from functools import cache

import pytest
from ibm_stand_in import CRN, TOKEN, Device, Fault, StandIn, stand_in
from ibm_stand_in.jobs import Queues

from qexp.deploy.executors.executor import Job, Order
from qexp.deploy.executors.ibm.executor import IBMQuantumExecutor

EAGER = {"poll_interval": 0.01, "status_interval": 0.0, "timeout": 20.0}
SECRETS = {"errors": [{"code": 1, "message": f"{TOKEN} {CRN}"}]}
"""An answer that repeats the account; nothing of it may be seen anywhere."""
NODES = ("ibm_fez", "ibm_torino")


@cache
def described(name: str) -> Device:
    return Device.of_fake(name)


def devices() -> list[Device]:
    return [Device(described(name).configuration, described(name).properties) for name in ("fez", "torino")]


@contextmanager
def account(**knobs):
    """An account for a stand-in of its own, in the environment."""
    knobs = {"queues": Queues(run_seconds=(1.0, 1.0), speed=100.0)} | knobs
    with stand_in(devices(), **knobs) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        # Else the client looks through the call stack at each request, which takes longer than the request.
        patch.setenv("USAGE_DATA_OPT_OUT", "True")
        yield server


def executor(**settings) -> IBMQuantumExecutor:
    """A new executor that looks whenever it is asked."""
    return IBMQuantumExecutor.connect(NODES, **EAGER | settings)


def another(executor: IBMQuantumExecutor, **settings) -> IBMQuantumExecutor:
    """One more on the same connection, which has read the machines and compiled circuits already."""
    return IBMQuantumExecutor(executor._submitter.backends, **EAGER | settings)


def order(tag: str, campaign: str = "c", node: str = NODES[0], **other) -> Order:
    fields = {"circuit": "ghz_3", "shots": 100, "max_seconds": 60.0} | other
    return Order(tag, campaign, node, **fields)


def finish(executor: IBMQuantumExecutor, job: str) -> Job:
    """Wait until a job is over."""
    for _ in range(2000):
        [seen] = executor.poll([job])
        if seen.state.final:
            return seen
        executor.wait(0.01)
    raise AssertionError(seen)


def sent(server: StandIn, line: str = "POST /jobs") -> int:
    """How often the service was asked for something."""
    return server.requests.count(line)


def told(error: pytest.ExceptionInfo) -> str:
    """What an error says: one line, and nothing of the account, its traceback included."""
    text = "".join(traceback.format_exception(error.value))
    assert TOKEN not in text
    assert "stand-in-instance" not in text
    assert "\n" not in str(error.value)
    return str(error.value)


__all__ = ["NODES", "SECRETS", "Fault", "account", "another", "executor", "finish", "order", "sent", "told"]
