"""One connection to IBM Quantum's stand-in for the tests of a module: reading machines takes a while."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def connection():
    """A stand-in with an executor on it."""
    from ibm_account import account, executor  # loads the client, which tests of other executors do without

    with account() as server, executor() as first:
        yield server, first


@pytest.fixture
def server(connection):
    """The stand-in, in order again."""
    server = connection[0]
    server.faults, server.instead, server.omit = [], {}, set()
    server.queues.hidden, server.queues.bill_after, server.queues.fates = 0.0, 0.0, {}
    server.noisy = server.brief = False
    for device in server.devices:
        device.pending, device.operational, device.status, device.reading = 0, True, "active", "true"
    with server.lock:
        for job in server.queues.jobs.values():
            server.queues.cancel(job)
    server.requests.clear()
    return server


@pytest.fixture
def first(connection):
    """An executor that has read the machines and compiled circuits."""
    return connection[1]


@pytest.fixture
def ibm(server, first):
    """An executor that knows of nothing yet."""
    from ibm_account import another

    with another(first) as one:
        yield one


@pytest.fixture
def tag(request):
    """A tag that no other test uses."""
    return f"{request.node.name[-60:]}"
