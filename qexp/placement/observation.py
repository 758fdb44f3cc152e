"""What the placement environments show: one definition for the single and the vectorised one."""

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
    """Return the space of one observation, of the scenario's fleet or of fleets padded to so many nodes."""
    nodes = padded_to or len(scenario.fleet)
    if scenario.observation == "flat":
        low = np.array([0.0] * 4 + [0.0, 0.0, NEVER] * nodes)
        return gym.spaces.Box(low, np.finfo(np.float64).max, dtype=np.float64)
    spaces: dict[str, gym.Space[Any]] = {
        "task": gym.spaces.Box(-LIMIT, LIMIT, (len(TASK_FEATURES),), np.float32),
        "nodes": gym.spaces.Box(-LIMIT, LIMIT, (nodes, len(NODE_FEATURES)), np.float32),
        "action_mask": gym.spaces.MultiBinary(nodes),
    }
    if padded_to:
        spaces["present"] = gym.spaces.MultiBinary(nodes)
    return gym.spaces.Dict(spaces)


def observe(scenario: Scenario, task: TaskState, nodes: NodeState) -> Observation:
    """Return the observation, or a batch of them, at a decision.

    The flat layout is the papers': arrival, width, depth and reschedules of the task, then qubits, CLOPS
    and next free time of each node, unscaled.
    """
    if scenario.observation == "flat":
        head = np.stack(
            [
                np.asarray(x, dtype=np.float64)
                for x in (task.arrival, task.width, task.depth, task.reschedules)
            ],
            axis=-1,
        )
        columns = np.broadcast_arrays(nodes.qubits, nodes.clops, nodes.free_at)
        body = np.stack(columns, axis=-1).reshape(*nodes.free_at.shape[:-1], -1)
        return np.concatenate([head, body], axis=-1)
    features, node_features = placement_features(task, nodes)
    return {"task": features, "nodes": node_features, "action_mask": task.mask.astype(np.int8)}


class LockstepObserver:
    """Observes a batched cloud as `observe` does, with what depends on the circuits computed in advance.

    Attributes:
        present: 1 where a fleet has a node, 0 where it is padded, ``[fleets, nodes]``; None without padding.
    """

    def __init__(self, scenario: Scenario, fleets: Sequence[Scenario] = ()) -> None:
        """Compute what depends on the circuits.

        Args:
            scenario: The placement problem.
            fleets: The same on each of several fleets, if the cloud's tables are joined from theirs. Then
                ``present`` in the observation tells nodes from padding.
        """
        self._scenario = scenario
        self._circuits = len(scenario.circuits.names)
        problems = fleets or [scenario]
        nodes = max(len(each.fleet) for each in problems)
        self._features = CircuitFeatures.joined([_features(each) for each in problems])
        self._masks = np.concatenate([padded(_masks(each), nodes, 0) for each in problems])
        there = [np.arange(nodes) < len(each.fleet) for each in fleets]
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
        seen = {"task": task, "nodes": nodes, "action_mask": self._masks.take(rows, axis=0)}
        if self.present is not None:
            seen["present"] = self.present.take(rows // self._circuits, axis=0)
        return seen


def _features(scenario: Scenario) -> CircuitFeatures:
    circuits, fleet = scenario.circuits, scenario.fleet
    fits = np.isfinite(scenario.service)
    return circuit_features(
        circuits.width, circuits.depth, scenario.service, circuits.esp, fits, fleet.qubits, fleet.clops
    )


def _masks(scenario: Scenario) -> NDArray[np.int8]:
    fits = np.isfinite(scenario.service)
    return (fits if scenario.mask else np.ones_like(fits)).astype(np.int8)
