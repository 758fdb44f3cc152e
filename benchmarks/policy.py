"""How long a policy takes to decide, features included, and to be loaded from its bundle."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Effort, Figure, output, rate
from qexp.placement.policy import PlacementPolicy
from qexp.placement.state import NodeState, TaskState
from qexp.policy import load_policy
from qexp.problem.bundle import save_policy
from qexp.problem.network import ScorerNetwork
from qexp.problem.policy import Policy

# Nodes and the targets for one decision, microseconds.
SIZES: dict[int, tuple[float | None, float | None]] = {5: (100, 30), 50: (None, None), 200: (250, 100)}
CIRCUITS = 200

LOAD = """
import time
import torch
start = time.perf_counter()
from qexp.policy import load_policy
load_policy({path!r})
print(time.perf_counter() - start)
"""


def measure(effort: Effort) -> list[Figure]:
    """Measure a bundle of the default architecture; what its weights are makes no difference."""
    with tempfile.TemporaryDirectory() as folder:
        path = bundle(Path(folder) / "policy")
        policy = load_policy(path)
        figures = [
            Figure(
                f"one decision, {nodes} nodes",
                "us",
                [1e6 / rate(Decisions(policy, nodes), effort.seconds) for _ in range(effort.repetitions)],
                *targets,
                lower_is_better=True,
            )
            for nodes, targets in SIZES.items()
        ]
        command = [sys.executable, "-c", LOAD.format(path=str(path))]
        seconds = [float(output(command, Path(folder))) for _ in range(effort.repetitions)]
    loading = "loading a bundle after `import torch`, the import of qexp.policy included"
    return [*figures, Figure(loading, "s", seconds, 0.3, 0.05, lower_is_better=True)]


def bundle(path: Path) -> Path:
    """Write a bundle with random weights."""
    architecture = PlacementPolicy.architecture()
    torch.manual_seed(0)
    weights = ScorerNetwork(architecture).state_dict()
    return save_policy(
        path,
        {name: tensor.numpy() for name, tensor in weights.items()},
        {"algorithm": "a2c", "architecture": architecture.as_dict()},
    )


class Decisions:
    """Makes decisions one at a time, for circuits that come again as those of a catalogue do."""

    def __init__(self, policy: Policy, nodes: int) -> None:
        rng = np.random.default_rng(0)
        self._policy = policy
        self._states = [self._state(rng, nodes) for _ in range(CIRCUITS)]

    def __call__(self) -> int:
        """Decide for every circuit once."""
        for task, nodes in self._states:
            self._policy.act(task, nodes)
        return len(self._states)

    @staticmethod
    def _state(rng: np.random.Generator, nodes: int) -> tuple[TaskState, NodeState]:
        width = int(rng.integers(2, 28))
        qubits = np.resize([127, 27, 27, 7, 7], nodes)
        fits = qubits >= width
        task = TaskState(
            now=30.0,
            arrival=30.0,
            width=width,
            depth=int(rng.integers(10, 2000)),
            shots=1024,
            reschedules=0,
            remaining=12,
            service=np.where(fits, rng.uniform(0.1, 60.0, nodes), np.inf),
            esp=np.where(fits, rng.random(nodes), 0.0),
            mask=fits,
        )
        state = NodeState(
            qubits=qubits,
            clops=np.resize([850.0, 2000.0, 2300.0, 2900.0, 2700.0], nodes),
            readout_error=np.full(nodes, 0.02),
            free_at=rng.uniform(0.0, 120.0, nodes),
            pending=rng.integers(0, 6, nodes),
            refusals=0,
        )
        return task, state
