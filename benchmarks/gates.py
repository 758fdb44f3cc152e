"""Gates: finding and proving shortest schedules, how far lists are from them, how fast learners play."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np

from benchmarks.measure import Effort, Figure, race
from qexp.gates.circuit import checked_circuit
from qexp.gates.gate_scheduling import GateScheduling
from qexp.gates.generators import WorkshopCircuitGenerator
from qexp.gates.machine import MachineProperties
from qexp.gates.problem import Problem
from qexp.gates.rulebook import CommutationRulebook, cnot_commutation
from qexp.gates.schedule import makespan
from qexp.gates.schedulers.list_scheduling import critical_path, randomised_critical_path
from qexp.gates.schedulers.optimum import optimum
from qexp.gates.tables import MachineTables

# Gates and the target for one circuit, seconds.
SIZES: dict[int, float | None] = {20: None, 30: 1.0, 50: None, 100: None, 200: None}
QUBITS = 5
CIRCUITS = 5  # per repetition
TRAINED_AT_ONCE = 192
LIMIT = 60.0  # seconds
LISTS = {"critical path": critical_path, "randomised critical path": randomised_critical_path}


def measure(effort: Effort) -> list[Figure]:
    """Measure on workshop circuits with the commutation of cnots; every repetition has its own circuits."""
    figures = [
        Figure(
            f"vector environment, {TRAINED_AT_ONCE} circuits",
            "decisions/s",
            race({"vector": Lockstep()}, effort)["vector"],
        )
    ]
    optimum(next(problems(QUBITS)))  # imports OR-Tools
    for gates, target in SIZES.items():
        source = problems(gates)
        batches = [[next(source) for _ in range(CIRCUITS)] for _ in range(effort.repetitions)]
        best = [[optimum(problem, time_limit=LIMIT) for problem in batch] for batch in batches]
        found = [one for batch in best for one in batch]
        share = 100 * statistics.mean(one.proved for one in found)
        seconds = [one.seconds for one in found]
        figures += [
            Figure(f"CP-SAT, {gates} gates", "s", seconds, target, lower_is_better=True),
            Figure(f"proved within {LIMIT:.0f} s, {gates} gates", "%", [share], 100),
        ]
        for name, schedule in LISTS.items():
            ratios = [
                statistics.mean(
                    makespan(problem, schedule(problem)) / one.makespan
                    for problem, one in zip(batch, optima, strict=True)
                )
                for batch, optima in zip(batches, best, strict=True)
            ]
            figures.append(Figure(f"{name} over optimum, {gates} gates", "x", ratios, lower_is_better=True))
    return figures


class Lockstep:
    """Decides at random about the circuits of `env=gate_scheduling`; steps that only reset do not count."""

    def __init__(self) -> None:
        self._env = GateScheduling().make_vector_env(TRAINED_AT_ONCE)
        self._mask = self._env.reset(seed=0)[0]["action_mask"]
        self._over = np.zeros(TRAINED_AT_ONCE, dtype=bool)
        self._rng = np.random.default_rng(0)

    def __call__(self) -> int:
        """Decide once about every circuit."""
        decided = TRAINED_AT_ONCE - int(self._over.sum())
        actions = (self._rng.random(self._mask.shape) * self._mask).argmax(axis=1)
        observation, _, self._over, *_ = self._env.step(actions)
        self._mask = observation["action_mask"]
        return decided


def problems(gates: int) -> Iterator[Problem]:
    """Yield problems of exactly that many gates, on five qubits with the durations of `workshop2`."""
    machine = MachineProperties.from_mapping(
        MachineProperties.from_file("workshop2").to_mapping() | {"n_qubits": QUBITS}
    )
    tables = MachineTables.of(machine)
    rulebook = CommutationRulebook()
    rulebook.add_rule(cnot_commutation)
    generator = WorkshopCircuitGenerator(seed=0)
    generator.set_state_attributes(machine_properties=machine, max_gates=2 * gates)
    for circuit in generator:
        if len(circuit) >= gates:
            yield Problem.of(tables, checked_circuit(circuit[:gates], tables), rulebook)
