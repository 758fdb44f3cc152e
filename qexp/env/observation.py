"""What the placement environments show: one definition for the single and the vectorised one."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from qexp.env.scenario import Scenario
from qexp.policy.features import LIMIT, NODE_FEATURES, TASK_FEATURES, placement_features
from qexp.state import NodeState, TaskState

Observation = dict[str, np.ndarray] | np.ndarray


def observation_space(scenario: Scenario) -> gym.Space[Any]:
    """Return the space of one observation."""
    nodes = len(scenario.fleet)
    if scenario.observation == "flat":
        return gym.spaces.Box(-np.inf, np.inf, (4 + 3 * nodes,), np.float64)
    return gym.spaces.Dict(
        {
            "task": gym.spaces.Box(-LIMIT, LIMIT, (len(TASK_FEATURES),), np.float32),
            "nodes": gym.spaces.Box(-LIMIT, LIMIT, (nodes, len(NODE_FEATURES)), np.float32),
            "action_mask": gym.spaces.MultiBinary(nodes),
        }
    )


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
