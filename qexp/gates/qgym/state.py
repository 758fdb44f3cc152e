"""The live state of an episode, under the names that users of qgym's Scheduling know."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from qexp.errors import InputError
from qexp.gates.circuit import checked_circuit
from qexp.gates.engine import Dispatch
from qexp.gates.gate import Circuit, GateEncoder
from qexp.gates.generators import CircuitGenerator
from qexp.gates.machine import MachineProperties
from qexp.gates.problem import Problem
from qexp.gates.rulebook import CommutationRulebook
from qexp.gates.tables import MachineTables
from qexp.problem.arrays import Bools, Ints
from qexp.problem.checks import range_of, shown, whole_number


@dataclass(frozen=True)
class SchedulingUtils:
    """Where circuits come from, which gates commute, and the codes of their names."""

    circuit_generator: CircuitGenerator
    rulebook: CommutationRulebook
    gate_encoder: GateEncoder


@dataclass(frozen=True)
class GateInfo:
    """One kind of gate at one moment; times in cycles."""

    cycle_length: int
    not_in_same_cycle: list[int]  # codes of the gates that it keeps out
    exclude: int  # for which it may not be started, from now on
    exclude_next_cycle: int  # for which starting it in this cycle keeps it out, once the cycle is over


class CircuitInfo:
    """The circuit of an episode and how far it is scheduled."""

    __slots__ = ("_encoder", "_rulebook", "acts_on", "dependencies", "human", "legal", "names", "schedule")

    def __init__(
        self, dispatch: Dispatch, max_gates: int, encoder: GateEncoder, rulebook: CommutationRulebook
    ) -> None:
        problem, gates = dispatch.problem, len(dispatch.problem)
        self._encoder, self._rulebook = encoder, rulebook
        self.human = problem.circuit  # the gates, by name
        self.names: Ints = np.zeros(max_gates, dtype=np.int64)  # their codes, 0 for padding
        self.names[:gates] = problem.codes
        self.acts_on: Ints = np.zeros((2, max_gates), dtype=np.int64)  # both qubits of each
        self.acts_on[0, :gates] = problem.q1
        self.acts_on[1, :gates] = problem.q2
        # These three are the dispatch's own arrays: they follow it step by step.
        self.legal, self.dependencies, self.schedule = dispatch.legal, dispatch.offsets, dispatch.starts

    @property
    def encoded(self) -> Circuit:
        """The gates, by code; a new list."""
        encoded: Circuit = self._encoder.encode_gates(self.human)
        return encoded

    @property
    def blocking_matrix(self) -> Bools:
        """Who waits for whom, see `CommutationRulebook.make_blocking_matrix`; a new array."""
        return self._rulebook.make_blocking_matrix(self.human)


class SchedulingState:
    """An episode: a machine, a circuit, and the part of its schedule that is made.

    Args:
        machine_properties: The machine; it is encoded in place.
        max_gates: Longest circuit.
        dependency_depth: How many of the gates that a gate waits for are shown.
        circuit_generator: Where circuits come from; one is drawn at once.
        rulebook: Which gates commute.
    """

    dispatch: Dispatch  # the state itself; the rest are views of it
    circuit_info: CircuitInfo
    steps_done: int  # calls of `update_state` since the last reset

    def __init__(
        self,
        *,
        machine_properties: MachineProperties,
        max_gates: int,
        dependency_depth: int,
        circuit_generator: CircuitGenerator,
        rulebook: CommutationRulebook,
    ) -> None:
        self.tables = MachineTables.of(machine_properties)
        encoder = machine_properties.encode()
        self.machine_properties = machine_properties
        self.utils = SchedulingUtils(circuit_generator, rulebook, encoder)
        self.max_gates = max_gates
        self.dependency_depth = dependency_depth
        self._seed: int | None = None
        self._rng: np.random.Generator | None = None
        self.reset()

    def reset(
        self, *, seed: int | None = None, circuit: Sequence[Any] | None = None, **_kwargs: Any
    ) -> SchedulingState:
        """Begin with an empty schedule.

        Args:
            seed: Decides the circuits from now on.
            circuit: What to schedule; by default the generator's next circuit.

        Raises:
            InputError: The machine cannot run the circuit, or it is too long.
        """
        if seed is not None:
            self.seed = seed
        if circuit is None:
            circuit = next(self.utils.circuit_generator)
        gates = checked_circuit(circuit, self.tables, self.max_gates)
        problem = Problem.of(self.tables, gates, self.utils.rulebook)
        self.dispatch = Dispatch(problem, self.dependency_depth, self.max_gates)
        utils = self.utils
        self.circuit_info = CircuitInfo(self.dispatch, self.max_gates, utils.gate_encoder, utils.rulebook)
        self.steps_done = 0
        return self

    def update_state(self, action: Sequence[int] | Ints) -> SchedulingState:
        """Place the gate ``action[0]``, or let a cycle pass when ``action[1]`` is 1.

        Placing a gate that is not legal changes nothing.
        """
        gate, wait = _checked_pair(action, self.max_gates)
        if wait:
            self.dispatch.advance()
        elif self.dispatch.legal[gate]:
            self.dispatch.place(gate)
        self.steps_done += 1
        return self

    def obtain_observation(self) -> dict[str, npt.NDArray[Any]]:
        """Return the observation, in fresh arrays; see `Scheduling`."""
        info = self.circuit_info
        return {
            "gate_names": info.names.copy(),
            "acts_on": info.acts_on.flatten(),
            "dependencies": info.dependencies.flatten(),
            "legal_actions": info.legal.copy(),
        }

    def obtain_info(self) -> dict[str, Any]:
        """Return the steps done, the current cycle, and the schedule so far (-1: not placed)."""
        schedule = self.circuit_info.schedule.copy()
        return {"Steps done": self.steps_done, "Cycle": self.dispatch.cycle, "Schedule": schedule}

    def is_done(self) -> bool:
        """Tell whether every gate is placed: for an empty circuit from the start."""
        return self.dispatch.left == 0

    def is_truncated(self) -> bool:
        """Never: a limit of steps is the environment's."""
        return False

    def create_observation_space(self) -> gym.spaces.Dict:
        """Return the space of `obtain_observation`."""
        n, depth, spaces = self.max_gates, self.dependency_depth, gym.spaces
        return spaces.Dict(
            {
                "gate_names": spaces.MultiDiscrete(np.full(n, self.machine_properties.n_gates + 1)),
                "acts_on": spaces.MultiDiscrete(np.full(2 * n, self.machine_properties.n_qubits + 1)),
                "dependencies": spaces.MultiDiscrete(np.full(depth * n, n)),
                "legal_actions": spaces.MultiBinary(n),
            }
        )

    @property
    def cycle(self) -> int:
        """The current cycle, counted from the end of the schedule."""
        return self.dispatch.cycle

    @property
    def busy(self) -> Ints:
        """Cycles until each qubit is free; a new array, shape ``[n_qubits]``."""
        left: Ints = np.maximum(np.array(self.dispatch.free_at) - self.dispatch.cycle, 0)
        return left

    @property
    def gates(self) -> Mapping[int, GateInfo]:
        """Each kind of gate and how long it is excluded, by code; a new mapping."""
        dispatch, machine = self.dispatch, self.machine_properties
        return {
            code: GateInfo(
                cycles,
                list(machine.not_in_same_cycle[code]),
                max(dispatch.until[code] - dispatch.cycle, 0),
                cycles if code in dispatch.started else 0,
            )
            for code, cycles in machine.gates.items()
        }

    @property
    def seed(self) -> int | None:
        """Seed of the random numbers; setting it begins them again and decides the circuits."""
        return self._seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self.reseed(np.random.default_rng(seed), seed)

    @property
    def rng(self) -> np.random.Generator:
        """Generator of random numbers, made when first asked for."""
        if self._rng is None:
            self._rng = np.random.default_rng(self._seed)
        return self._rng

    @rng.setter
    def rng(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def reseed(self, rng: np.random.Generator, seed: int | None) -> None:
        """Draw from this generator from now on; the circuits too, where their generator has an ``rng``.

        Args:
            rng: The generator.
            seed: It began with this, None if unknown.
        """
        self._rng, self._seed = rng, seed
        generator = self.utils.circuit_generator
        if hasattr(generator, "rng"):
            generator.rng = rng

    def copy(self) -> SchedulingState:
        """Return an independent copy of the episode; machine, generator and rulebook are shared."""
        twin = copy.copy(self)
        twin.dispatch = dispatch = self.dispatch.copy()
        twin.circuit_info = info = copy.copy(self.circuit_info)
        info.legal, info.dependencies, info.schedule = dispatch.legal, dispatch.offsets, dispatch.starts
        return twin


def _checked_pair(action: Any, gates: int) -> tuple[int, bool]:
    """Return the gate of an action ``(gate, wait)``, and whether it lets a cycle pass instead.

    The gate is not read when ``wait`` is 1; an `InputError` if it is no such pair or there is no such gate.
    """
    try:
        gate, wait = (whole_number(value) for value in action)
    except (TypeError, ValueError):
        gate = wait = None
    if wait == 1:
        return 0, True
    if wait != 0 or gate is None:
        needed = f"(gate, 0) with a gate {range_of(gates)}, or (0, 1) to wait"
        raise InputError(f"action {shown(action)}: it must be {needed}")
    if not 0 <= gate < gates:
        raise InputError(f"action: no gate {gate}; it must be {range_of(gates)}")
    return gate, False
