"""The environment for learning: a flat masked action space, an observation with nothing hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from qexp.gates.generators import CircuitGenerator, WorkshopCircuitGenerator
from qexp.gates.machine import MachineProperties
from qexp.gates.problem import Problem
from qexp.gates.qgym.rewarders import MakespanRewarder, Rewarder
from qexp.gates.qgym.scheduling import Scheduling
from qexp.gates.rulebook import CommutationRulebook
from qexp.problem.arrays import Bools, Ints
from qexp.problem.checks import checked_action, refuse_unknown

MOST = 2**31 - 1  # cycles; no episode comes near


class GateSchedulingEnv(Scheduling):
    """Schedule the gates of a circuit on a machine, from the last gate to the first.

    ``gymnasium.make("qexp/QgymScheduling-v0", machine="workshop2")``. The rules are those of `Scheduling`.

    Observation: with n = ``max_gates``, padded with zeros; q qubits, k kinds of gate, in the machine's order;
    all in cycles where nothing else is said
        ==================  =====================  =====  =============================================
        key                 shape                  dtype  content
        ==================  =====================  =====  =============================================
        gate_names          (n,)                   int64  kind of each gate, from 1; 0: padding
        acts_on             (2, n)                 int64  first and second qubit of each gate
        dependencies        (dependency_depth, n)  int64  how much later in the circuit the nearest gates
                                                          are that each gate waits for; 0: none
        durations           (n,)                   int64  of each gate
        critical_path       (n,)                   int64  from the start of each gate to the end of the
                                                          longest chain of gates that wait for it; 0
                                                          once it is placed
        placed              (n,)                   int8   1 for gates that are placed
        cycle               (1,)                   int64  the current one, backwards from the end
        qubit_busy          (q,)                   int64  left until each qubit is free
        kept_out            (k,)                   int64  left until each kind may start again
        kept_out_next       (k,)                   int64  for which each kind may not start, once this
                                                          cycle is over, because one was started in it
        kind_durations      (k,)                   int64  of each kind
        kind_same_start     (k,)                   int8   1 for kinds with a common start
        kind_keeps_out      (k, k)                 int64  for how long a kind (row) keeps out another
        action_mask         (n + 1,)               int8   1 for legal actions
        ==================  =====================  =====  =============================================

    Action: ``Discrete(max_gates + 1)``
        Place that gate in the current cycle, or, with the last action, let a cycle pass. The mask offers
        waiting only while something runs or is kept out, so episodes of legal actions end. ``action_masks()``
        gives it to libraries that ask for it by that name, such as sb3-contrib.

    Reward
        By the rewarder; `MakespanRewarder` by default, which sums to minus the makespan.

    End
        ``terminated`` when every gate is placed; ``truncated`` after ``max_steps``. An empty circuit is done
        at the start, and its first step says so.

    Info
        ``makespan`` (cycles, of the gates placed so far) and ``schedule``: backward start cycle of each gate,
        -1 while it is not placed, padded with -1 to ``max_gates``.

    Example:
        >>> import gymnasium, qexp.env
        >>> env = gymnasium.make("qexp/QgymScheduling-v0", machine="workshop2", max_gates=20)
        >>> observation, info = env.reset(seed=1)
        >>> action = env.action_space.sample(mask=observation["action_mask"])
        >>> observation, reward, terminated, truncated, info = env.step(action)

    Args:
        machine: Name of one that ships with qexp or of a file, a mapping, or `MachineProperties`.
        circuit_generator: Where circuits come from; by default `WorkshopCircuitGenerator`.
        rewarder: What a step is worth; the other arguments are those of `Scheduling`.
        **unknown: Refused, in a line that names the arguments there are.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range, or there is no such argument.
    """

    def __init__(
        self,
        machine: MachineProperties | Mapping[str, Any] | str | Path = "workshop2",
        *,
        max_gates: int = 50,
        dependency_depth: int = 1,
        circuit_generator: CircuitGenerator | None = None,
        rulebook: CommutationRulebook | None = None,
        rewarder: Rewarder | None = None,
        max_steps: int | None = None,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, [name for name in signature(type(self)).parameters if name != "unknown"])
        shared = circuit_generator is None
        super().__init__(
            self._parse_machine_properties(machine),
            max_gates=max_gates,
            dependency_depth=dependency_depth,
            circuit_generator=WorkshopCircuitGenerator() if shared else circuit_generator,
            rulebook=rulebook,
            rewarder=MakespanRewarder() if rewarder is None else rewarder,
            max_steps=max_steps,
            render_mode=render_mode,
        )
        if shared:
            self._state.reseed(self.np_random, None)
        tables, n = self._state.tables, self._state.max_gates
        self._kinds: dict[str, npt.NDArray[Any]] = {
            "kind_durations": np.array(tables.cycles[1:], dtype=np.int64),
            "kind_same_start": np.array(tables.same_start[1:], dtype=np.int8),
            "kind_keeps_out": tables.keeps_out()[1:, 1:].astype(np.int64),
        }
        self._shown: Problem | None = None  # whose durations and chains are at hand
        kinds = len(tables.codes)
        whole, box, bits = gym.spaces.MultiDiscrete, gym.spaces.Box, gym.spaces.MultiBinary
        depth = self._state.dependency_depth
        spaces: dict[str, gym.Space[Any]] = {
            "gate_names": whole(np.full(n, kinds + 1)),
            # No MultiDiscrete: libraries take those of one dimension only.
            "acts_on": box(0, tables.n_qubits - 1, (2, n), np.int64),
            "dependencies": box(0, n - 1, (depth, n), np.int64),
            "durations": box(0, MOST, (n,), np.int64),
            "critical_path": box(0, MOST, (n,), np.int64),
            "placed": bits(n),
            "cycle": box(0, MOST, (1,), np.int64),
            "qubit_busy": box(0, MOST, (tables.n_qubits,), np.int64),
            "kept_out": box(0, MOST, (kinds,), np.int64),
            "kept_out_next": box(0, MOST, (kinds,), np.int64),
            "kind_durations": box(0, MOST, (kinds,), np.int64),
            "kind_same_start": bits(kinds),
            "kind_keeps_out": box(0, MOST, (kinds, kinds), np.int64),
            "action_mask": bits(n + 1),
        }
        self.observation_space = gym.spaces.Dict(spaces)
        self.action_space = gym.spaces.Discrete(n + 1)

    def action_masks(self) -> Bools:
        """Return which actions are legal, as sb3-contrib asks for them, ``[max_gates + 1]``."""
        return self._mask().astype(bool)

    def _pair(self, action: Any) -> tuple[int, int]:
        n = self._state.max_gates
        index = checked_action(action, n + 1)
        return (0, 1) if index == n else (index, 0)

    def _mask(self) -> npt.NDArray[np.int8]:
        dispatch, n = self._state.dispatch, self._state.max_gates
        mask = np.empty(n + 1, dtype=np.int8)
        mask[:n] = dispatch.legal
        mask[n] = dispatch.left == 0 or dispatch.running
        return mask

    def _observe(self) -> dict[str, npt.NDArray[Any]]:
        state = self._state
        dispatch, info, n = state.dispatch, state.circuit_info, state.max_gates
        problem, cycle = dispatch.problem, dispatch.cycle
        gates = len(problem)
        if self._shown is not problem:
            self._shown = problem
            self._durations, self._tails = _padded(problem.cycles, n), _padded(problem.tails, n)
        placed = np.zeros(n, dtype=np.int8)
        placed[:gates] = dispatch.starts >= 0
        started = np.zeros(len(dispatch.until), dtype=np.int64)
        for code in dispatch.started:
            # Leaving the cycle takes one of them off.
            started[code] = state.tables.cycles[code] - 1
        return {
            "gate_names": info.names.copy(),
            "acts_on": info.acts_on.copy(),
            "dependencies": info.dependencies.copy(),
            "durations": self._durations.copy(),
            "critical_path": self._tails * (1 - placed),
            "placed": placed,
            "cycle": np.array([cycle]),
            "qubit_busy": np.maximum(np.array(dispatch.free_at) - cycle, 0),
            "kept_out": np.maximum(np.array(dispatch.until[1:]) - cycle, 0),
            "kept_out_next": started[1:],
            **{key: value.copy() for key, value in self._kinds.items()},
            "action_mask": self._mask(),
        }

    def _info(self) -> dict[str, Any]:
        dispatch = self._state.dispatch
        schedule = np.full(self._state.max_gates, -1)
        schedule[: len(dispatch.starts)] = dispatch.starts
        return {"makespan": dispatch.makespan, "schedule": schedule}


def _padded(values: Sequence[int], length: int) -> Ints:
    padded = np.zeros(length, dtype=np.int64)
    padded[: len(values)] = values
    return padded
