"""Scheduling the gates of a circuit: the names that users of qgym's Scheduling know, and better ones beside.

Change the import of a qgym script to this module and it runs. New here are `GateSchedulingEnv` (Gymnasium
id ``qexp/QgymScheduling-v0``), `MakespanRewarder`, machines from files, circuits from Qiskit and schedules
for it.
"""

from qexp.gates.gate import Gate, GateEncoder
from qexp.gates.generators import (
    BasicCircuitGenerator,
    CircuitGenerator,
    NullCircuitGenerator,
    WorkshopCircuitGenerator,
)
from qexp.gates.machine import MachineProperties, write_machine
from qexp.gates.qgym.env import GateSchedulingEnv
from qexp.gates.qgym.rewarders import BasicRewarder, EpisodeRewarder, MakespanRewarder, Rewarder
from qexp.gates.qgym.scheduling import Scheduling
from qexp.gates.qgym.state import SchedulingState
from qexp.gates.qiskit_circuits import compile_for, from_qiskit, to_qiskit
from qexp.gates.rulebook import CommutationRulebook, cnot_commutation, disjoint_qubits, same_gate

__all__ = [
    "BasicCircuitGenerator",
    "BasicRewarder",
    "CircuitGenerator",
    "CommutationRulebook",
    "EpisodeRewarder",
    "Gate",
    "GateEncoder",
    "GateSchedulingEnv",
    "MachineProperties",
    "MakespanRewarder",
    "NullCircuitGenerator",
    "Rewarder",
    "Scheduling",
    "SchedulingState",
    "WorkshopCircuitGenerator",
    "cnot_commutation",
    "compile_for",
    "disjoint_qubits",
    "from_qiskit",
    "same_gate",
    "to_qiskit",
    "write_machine",
]
