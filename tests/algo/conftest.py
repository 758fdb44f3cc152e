"""Ray for the tests that train: one in this process, and a cluster of two nodes beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray_cluster import Cluster

ROOT = Path(__file__).parents[2]


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the Ray or the cluster of the fixtures below."""
    for item in items:
        if {"ray", "cluster"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def ray():
    """One quiet Ray for all tests that need one: starting it takes seconds."""
    from qexp.algo.session import ray_session

    with ray_session():
        yield


@pytest.fixture(scope="session")
def _nodes() -> Iterator[Cluster]:
    # A short path: Ray puts Unix sockets deep below it.
    folder = Path(tempfile.mkdtemp(prefix="qexp-test-", dir="/tmp"))
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(_nodes: Cluster) -> Cluster:
    """The cluster, with both nodes up."""
    _nodes.with_worker()
    return _nodes


@pytest.fixture
def script() -> Callable[..., dict]:
    """Run a file of this folder in a fresh process; it prints one line of JSON last."""

    def call(name: str, *arguments: object, cwd: Path) -> dict:
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name(name), *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return call
