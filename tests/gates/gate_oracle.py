"""Scheduling written down a second time, slowly: everything is worked out anew in every step.

Time is kept the other way round than in qexp, as cycles left instead of cycles from which on, and legality is
read off the definition. Also: random machines, circuits and rules to compare with.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from qexp.gates.gate import Gate
from qexp.gates.machine import MachineProperties
from qexp.gates.rulebook import CommutationRulebook, cnot_commutation

NAMES = ("x", "y", "cnot", "measure")


class Oracle:
    """One episode; `step` returns (illegal, done)."""

    def __init__(self, machine, circuit, rules, max_gates, depth):
        self.p, self.n_qubits = dict(machine.gates), machine.n_qubits
        self.pairs = {(a, b) for a, others in machine.not_in_same_cycle.items() for b in others}
        self.own = machine.exclusion == "own_duration"
        self.same_start = set(machine.same_start)
        self.circuit, self.rules, self.max_gates, self.depth = circuit, rules, max_gates, depth
        self.code = {name: i + 1 for i, name in enumerate(self.p)}
        self.cycle = self.steps = 0
        self.busy = dict.fromkeys(range(self.n_qubits), 0)
        self.out = dict.fromkeys(self.p, 0)
        self.started = set()
        self.start = {}

    def waits_for(self, i):
        return [
            j
            for j in range(i + 1, len(self.circuit))
            if j not in self.start and not any(rule(self.circuit[i], self.circuit[j]) for rule in self.rules)
        ]

    def legal(self, i):
        if i >= len(self.circuit) or i in self.start or self.waits_for(i):
            return False
        gate = self.circuit[i]
        return self.busy[gate.q1] == self.busy[gate.q2] == self.out[gate.name] == 0

    def done(self):
        return len(self.start) == len(self.circuit)

    def makespan(self):
        return max((s + self.p[self.circuit[i].name] for i, s in self.start.items()), default=0)

    def step(self, gate, wait):
        self.steps += 1
        if wait:
            for name in self.started:
                self.out[name] = max(self.out[name], self.p[name])
            self.started = set()
            self.busy = {q: max(left - 1, 0) for q, left in self.busy.items()}
            self.out = {name: max(left - 1, 0) for name, left in self.out.items()}
            self.cycle += 1
            return False
        if not self.legal(gate):
            return True
        name, q1, q2 = self.circuit[gate]
        self.start[gate] = self.cycle
        self.busy[q1] = self.busy[q2] = self.p[name]
        for one, other in self.pairs:
            if one == name:
                self.out[other] = max(self.out[other], self.p[other] if self.own else self.p[name])
        if name in self.same_start:
            self.started.add(name)
        return False

    def observation(self):
        n, padding = self.max_gates, self.max_gates - len(self.circuit)
        dependencies = np.zeros((self.depth, n), dtype=int)
        for i in range(len(self.circuit)):
            for row, j in enumerate(self.waits_for(i)[: self.depth]):
                dependencies[row, i] = j - i
        return {
            "gate_names": [self.code[gate.name] for gate in self.circuit] + [0] * padding,
            "acts_on": [
                *[gate.q1 for gate in self.circuit],
                *[0] * padding,
                *[gate.q2 for gate in self.circuit],
                *[0] * padding,
            ],
            "dependencies": dependencies.ravel().tolist(),
            "legal_actions": [int(self.legal(i)) for i in range(n)],
        }

    def info(self):
        schedule = [self.start.get(i, -1) for i in range(len(self.circuit))]
        return {"Steps done": self.steps, "Cycle": self.cycle, "Schedule": schedule}


def earlier_has_lower_qubit(gate1, gate2):
    """A rule that depends on the order it is asked in."""
    return gate1.q1 < gate2.q2


@st.composite
def machines(draw):
    machine = MachineProperties(
        draw(st.integers(1, 4)), exclusion=draw(st.sampled_from(["own_duration", "no_overlap"]))
    )
    machine.add_gates({name: draw(st.integers(1, 5)) for name in NAMES})
    machine.add_same_start(draw(st.sets(st.sampled_from(NAMES), max_size=2)))
    pair = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))
    return machine.add_not_in_same_cycle(draw(st.lists(pair, max_size=3)))


@st.composite
def circuits(draw, n_qubits, max_size=10):
    qubit = st.integers(0, n_qubits - 1)
    gates = []
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=max_size)):
        first = draw(qubit)
        gates.append(Gate(name, first, draw(qubit) if name == "cnot" else first))
    return gates


@st.composite
def rulebooks(draw):
    rulebook = CommutationRulebook(default_rules=draw(st.booleans()))
    for rule in draw(st.lists(st.sampled_from([cnot_commutation, earlier_has_lower_qubit]), max_size=2)):
        rulebook.add_rule(rule)
    return rulebook
