"""A policy that schedules the gates of a circuit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qexp.gates.batched import BatchedDispatch
from qexp.gates.circuit import checked_circuit
from qexp.gates.features import CONTEXT_FEATURES, GATE_FEATURES, GATE_PRIOR, SCALES, gate_decisions
from qexp.gates.machine import MachineProperties
from qexp.gates.problem import Problem
from qexp.gates.rulebook import CommutationRulebook, named_rulebook
from qexp.gates.schedule import forward_starts
from qexp.gates.tables import MachineTables
from qexp.problem.policy import Policy


@dataclass(frozen=True)
class GatePolicy(Policy):
    """A policy of ``env=gate_scheduling``. Its nodes are gates that may start next, and waiting."""

    environment = "gate_scheduling"
    features = {  # noqa: RUF012 - nobody writes into it
        "task": list(CONTEXT_FEATURES),
        "nodes": list(GATE_FEATURES),
        "scales": SCALES,
    }
    prior_feature = GATE_PRIOR

    def schedule(
        self,
        circuit: Any,
        machine: MachineProperties | str | Path,
        rulebook: CommutationRulebook | str | None = None,
    ) -> list[int]:
        """Return the cycle in which each gate of a circuit starts, from the beginning of the schedule.

        Args:
            circuit: Gates in execution order, as `Gate` or (name, q1, q2), or a Qiskit ``QuantumCircuit``.
            machine: What runs it: properties, the name of a machine that ships with qexp, or a file.
            rulebook: Which gates commute, or the name of one of `RULEBOOKS`; by default as in training.

        Raises:
            InputError: The machine cannot be read, or cannot run the circuit.
        """
        if not isinstance(machine, MachineProperties):
            machine = MachineProperties.from_file(machine)
        if rulebook is None:
            rulebook = str(self.description.get("rulebook", "default"))
        if isinstance(rulebook, str):
            rulebook = named_rulebook(rulebook)
        tables = MachineTables.of(machine)
        problem = Problem.of(tables, checked_circuit(circuit, tables), rulebook)
        return forward_starts(problem, self.starts(problem))

    def starts(self, problem: Problem) -> list[int]:
        """Return the start cycle of each gate of a problem, counted from the end of the schedule."""
        state, only = BatchedDispatch(problem.machine, 1, len(problem)), np.array([0])
        state.begin(only, [problem])
        while not state.done[0]:
            shown = gate_decisions(state)
            choice = self.decide(shown.context, shown.nodes, shown.mask)
            if choice[0] == shown.gates.shape[1]:
                state.wait(only)
            else:
                state.place(only, shown.gates[0, choice])
            state.settle(only)
        return state.backward_starts(0)
