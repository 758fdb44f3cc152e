"""What a second environment-runner worker adds on a cluster of two nodes, both started on this machine.

A rollout is sampled by every runner of the group at once, as in training, and comes back whole to the head.
The learner does nothing meanwhile: this is about sampling. It needs a free core for each runner.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Effort, Figure, race, ratios
from qexp.algo.session import QUIET_ENVIRONMENT, ray_session

RUNNERS = (1, 2)
START_SECONDS = 60.0


def measure(effort: Effort) -> list[Figure]:
    """Measure the sampling rate of one runner and of two, in turns."""
    with two_nodes(sum(RUNNERS)) as address, ray_session(address=address), ExitStack() as stack:
        algorithms = {runners: stack.enter_context(algorithm(runners)) for runners in RUNNERS}

        def work(runners: int) -> int:
            rollouts = algorithms[runners].collect()
            return sum(int(rollout.acted.sum()) for rollout in rollouts.values())

        rates = race({name(runners): lambda runners=runners: work(runners) for runners in RUNNERS}, effort)
    figures = [Figure(name(runners), "steps/s", rates[name(runners)]) for runners in RUNNERS]
    gain = ratios(rates, name(2), name(1))
    return [*figures, Figure("two workers over one", "x", gain, at_least=1.6)]


def name(runners: int) -> str:
    """Return what a contender is called in the table."""
    return f"sampling with {runners} environment-runner worker{'s' if runners > 1 else ''} on the second node"


@contextmanager
def algorithm(runners: int) -> Iterator[Any]:
    """Build A2C with its default settings on the default scenario, with so many remote runners."""
    from qexp.algo.config import A2C
    from qexp.algo.train import build
    from qexp.backend.fleet import load_fleet
    from qexp.env.placement_vector import PlacementVectorEnv
    from qexp.env.scenario import Scenario
    from qexp.policy.features import NODE_FEATURES, TASK_FEATURES
    from qexp.policy.network import Architecture

    scenario = Scenario(load_fleet("qce5"))
    config = A2C(num_env_runners=runners)
    architecture = Architecture(
        hidden=config.hidden,
        prior=config.prior,
        task_features=len(TASK_FEATURES),
        node_features=len(NODE_FEATURES),
    )
    built = build(config, architecture, lambda num_envs: PlacementVectorEnv(scenario, num_envs), seed=0)
    try:
        yield built
    finally:
        built.stop()


@contextmanager
def two_nodes(workers: int) -> Iterator[str]:
    """Start a head with one CPU and a second node with so many, yield the address, and end both."""
    folder = Path(tempfile.mkdtemp(prefix="qexp-bench-", dir="/tmp"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    head = ["--head", f"--port={port}", "--num-cpus=1", f"--temp-dir={folder}", "--include-dashboard=false"]
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        for arguments in (head, [f"--address={address}", f"--num-cpus={workers}"]):
            nodes.append(start(arguments, folder / f"{len(nodes)}.log"))
        yield address
    finally:
        for node in reversed(nodes):
            os.killpg(node.pid, signal.SIGKILL)
            node.wait()
        shutil.rmtree(folder, ignore_errors=True)


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a node as a process group of its own, and wait until it runs.

    Raises:
        RuntimeError: It did not; the message holds what it said.
    """
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--node-ip-address=127.0.0.1"]
    with log.open("wb") as output:
        node = subprocess.Popen(
            [*ray, "--object-store-memory=100000000", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **QUIET_ENVIRONMENT},
            start_new_session=True,
        )
    patience = time.monotonic() + START_SECONDS
    while b"Ray runtime started" not in log.read_bytes():
        if node.poll() is not None or time.monotonic() > patience:
            raise RuntimeError(f"ray {' '.join(arguments)} did not start:\n{log.read_text()}")
        time.sleep(0.1)
    return node
