"""What a second environment-runner worker adds on a cluster of two nodes, both started on this machine.

A rollout is sampled by every runner of the group at once, as in training, and stays there or comes back whole
to the head. The learner does nothing meanwhile. It needs a free core for each runner, and one for the head
that takes the rollouts in.
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
    """Measure the sampling rate of one runner and of two, in turns: alone, and with the way to the head."""
    figures = []
    with two_nodes(sum(RUNNERS)) as address, ray_session(address=address), ExitStack() as stack:
        algorithms = {runners: stack.enter_context(algorithm(runners)) for runners in RUNNERS}
        for how, sample in (("sampling", sampled), ("sampling and bringing to the head", brought)):
            works = {
                name(how, runners): lambda runners=runners, sample=sample: sample(algorithms[runners])
                for runners in RUNNERS
            }
            rates = race(works, effort)
            one, two = works
            figures += [Figure(contender, "steps/s", rates[contender]) for contender in works]
            target = 1.6 if sample is sampled else None
            figures.append(Figure(f"{how}: two workers over one", "x", ratios(rates, two, one), target))
    return figures


def sampled(algorithm: Any) -> int:
    """Have every runner sample one rollout, which stays where it is; return the steps."""
    steps = algorithm.env_runner_group.foreach_env_runner(
        lambda runner: int(runner.sample().acted.sum()), local_env_runner=False
    )
    return sum(steps)


def brought(algorithm: Any) -> int:
    """Sample as training does: rollouts come back whole; return the steps."""
    return sum(int(rollout.acted.sum()) for rollout in algorithm.collect().values())


def name(how: str, runners: int) -> str:
    """Return what a contender is called in the table."""
    return f"{how}, {runners} environment-runner worker{'s' if runners > 1 else ''} on the second node"


@contextmanager
def algorithm(runners: int) -> Iterator[Any]:
    """Build A2C with its default settings on the default scenario, with so many remote runners."""
    from qexp.algo import A2C
    from qexp.algo.train import rllib_config
    from qexp.fleet.fleet import load_fleet
    from qexp.placement.placement import Placement
    from qexp.placement.policy import PlacementPolicy
    from qexp.placement.vector_env import PlacementVectorEnv

    scenario = Placement(load_fleet("qce5"))
    config = A2C(num_env_runners=runners, rollout_length=scenario.tasks)
    architecture = PlacementPolicy.architecture(hidden=config.hidden, prior=config.prior)
    built = rllib_config(
        config, architecture, lambda num_envs: PlacementVectorEnv(scenario, num_envs), seed=0
    ).build_algo()
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
