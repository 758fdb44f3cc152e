"""Scheduling the gates of a circuit: the names that users of qgym's Scheduling know, and better ones beside.

Change the import of a qgym script to this module and it goes on. New here are `GateSchedulingEnv` (Gymnasium
id ``qexp/GateScheduling-v0``), `MakespanRewarder`, machines from files, circuits from Qiskit and schedules
for it.
"""

from qexp.env.gate_scheduling.env import GateSchedulingEnv
from qexp.env.gate_scheduling.makespan_rewarder import MakespanRewarder
from qexp.env.gate_scheduling.rewarders import BasicRewarder, EpisodeRewarder, Rewarder
from qexp.env.gate_scheduling.scheduling import Scheduling
from qexp.env.gate_scheduling.state import SchedulingState
from qexp.gates.encoder import GateEncoder
from qexp.gates.gate import Gate
from qexp.gates.generators import (
    BasicCircuitGenerator,
    CircuitGenerator,
    NullCircuitGenerator,
    WorkshopCircuitGenerator,
)
from qexp.gates.machine import MachineProperties
from qexp.gates.machine_file import write_machine
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
