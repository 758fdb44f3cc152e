"""Problems to schedule: by hand, at random, and like those of the workshop circuits."""

from __future__ import annotations

from gate_oracle import circuits, machines, rulebooks
from hypothesis import strategies as st

from qexp.gates.circuit import checked_circuit
from qexp.gates.generators import WorkshopCircuitGenerator
from qexp.gates.machine import MachineProperties
from qexp.gates.problem import Problem
from qexp.gates.rulebook import CommutationRulebook, cnot_commutation
from qexp.gates.tables import MachineTables


def problem_of(circuit, machine="workshop2", rulebook=None):
    if isinstance(machine, str):
        machine = MachineProperties.from_file(machine)
    tables = MachineTables.of(machine)
    return Problem.of(tables, checked_circuit(circuit, tables), rulebook or CommutationRulebook())


def with_cnot_rule():
    rulebook = CommutationRulebook()
    rulebook.add_rule(cnot_commutation)
    return rulebook


def workshop(gates, seed, machine="ten_qubit"):
    generator = WorkshopCircuitGenerator(seed)
    properties = MachineProperties.from_file(machine)
    generator.set_state_attributes(machine_properties=properties, max_gates=gates)
    return problem_of(next(generator), properties, with_cnot_rule())


@st.composite
def problems(draw, rules=rulebooks(), max_size=10):  # noqa: B008 - a strategy is a description, not a value
    machine = draw(machines())
    return problem_of(draw(circuits(machine.n_qubits, max_size)), machine, draw(rules))
