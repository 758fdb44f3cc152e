"""The observations of the placement environments, of the single and the vectorised one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from qexp.placement.batched import NEVER, BatchedCloud
from qexp.placement.features import (
    NODE_FEATURES,
    TASK_FEATURES,
    CircuitFeatures,
    at_moment,
    circuit_features,
    placement_features,
)
from qexp.placement.scenario import Scenario
from qexp.placement.state import NodeState, TaskState, padded
from qexp.problem.arrays import LIMIT

Observation = dict[str, np.ndarray] | np.ndarray


def observation_space(scenario: Scenario, padded_to: int | None = None) -> gym.Space[Any]:
    """Return the space of one observation.

    Args:
        scenario: The placement problem.
        padded_to: Machines of the largest fleet, where there are others than the scenario's.
    """
    machines = padded_to or len(scenario.fleet)
    if scenario.observation == "flat":
        low = np.array([0.0] * 4 + [0.0, 0.0, NEVER] * machines)
        return gym.spaces.Box(low, np.finfo(np.float64).max, dtype=np.float64)
    spaces: dict[str, gym.Space[Any]] = {
        "task": gym.spaces.Box(-LIMIT, LIMIT, (len(TASK_FEATURES),), np.float32),
        "nodes": gym.spaces.Box(-LIMIT, LIMIT, (machines, len(NODE_FEATURES)), np.float32),
        "action_mask": gym.spaces.MultiBinary(machines),
    }
    if padded_to:
        spaces["present"] = gym.spaces.MultiBinary(machines)
    return gym.spaces.Dict(spaces)


def observe(scenario: Scenario, task: TaskState, nodes: NodeState) -> Observation:
    """Return the observation, or a batch of them, at a decision.

    The flat layout is the papers': arrival, width, depth and reschedules of the task, then qubits, CLOPS
    and next free time of each machine, unscaled.

    Args:
        scenario: The placement problem.
        task: The waiting task.
        nodes: The machines.
    """
    if scenario.observation == "flat":
        of_task = (task.arrival, task.width, task.depth, task.reschedules)
        head = np.stack([np.asarray(x, dtype=np.float64) for x in of_task], axis=-1)
        columns = np.broadcast_arrays(nodes.qubits, nodes.clops, nodes.free_at)
        body = np.stack(columns, axis=-1).reshape(*nodes.free_at.shape[:-1], -1)
        return np.concatenate([head, body], axis=-1)
    features, node_features = placement_features(task, nodes)
    return {"task": features, "nodes": node_features, "action_mask": task.mask.astype(np.int8)}


class LockstepObserver:
    """Observes a batched cloud as `observe` does, with the features of the circuits computed in advance.

    Args:
        scenario: The placement problem.
        fleets: The same on each of several fleets, if the cloud's tables are joined from theirs. Then
            ``present`` in the observation separates machines from padding.

    Attributes:
        present: 1 where a fleet has a machine, 0 where it is padded, ``[fleets, machines]``; or None.
    """

    def __init__(self, scenario: Scenario, fleets: Sequence[Scenario] = ()) -> None:
        self._scenario = scenario
        problems = fleets or [scenario]
        most = max(len(each.fleet) for each in problems)
        self._features = CircuitFeatures.joined([_features(each) for each in problems])
        fits = [np.isfinite(each.service) | (not scenario.mask) for each in problems]
        self._masks = np.concatenate([padded(each.astype(np.int8), most, 0) for each in fits])
        there = [np.arange(most) < len(each.fleet) for each in fleets]
        self.present: NDArray[np.int8] | None = np.array(there).astype(np.int8) if fleets else None

    def observe(self, cloud: BatchedCloud) -> Observation:
        """Return the observations of all episodes, in fresh arrays."""
        if self._scenario.observation == "flat":
            return observe(self._scenario, cloud.task_state(), cloud.node_state(self._scenario.fleet))
        rows = cloud.circuit
        task, nodes = at_moment(
            self._features.take(rows),
            now=cloud.now,
            reschedules=cloud.asked_before,
            remaining=cloud.left,
            free_at=cloud.free_at,
            pending=cloud.pending,
        )
        observation = {"task": task, "nodes": nodes, "action_mask": self._masks.take(rows, axis=0)}
        if self.present is not None:
            fleet = rows // len(self._scenario.circuits.names)
            observation["present"] = self.present.take(fleet, axis=0)
        return observation


def _features(scenario: Scenario) -> CircuitFeatures:
    circuits, fleet = scenario.circuits, scenario.fleet
    fits = np.isfinite(scenario.service)
    return circuit_features(
        circuits.width, circuits.depth, scenario.service, circuits.esp, fits, fleet.qubits, fleet.clops
    )
