"""A policy that places tasks on machines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.placement.features import (
    LINEAR_SCALE,
    LOG_SCALE,
    NODE_FEATURES,
    PRIOR_FEATURE,
    TASK_FEATURES,
    placement_features,
)
from qexp.placement.state import NodeState, TaskState
from qexp.problem.arrays import LIMIT, Bools
from qexp.problem.policy import Policy


@dataclass(frozen=True)
class PlacementPolicy(Policy):
    """A policy of ``env=placement``."""

    environment = "placement"
    features = {  # noqa: RUF012 - nobody writes into it
        "task": list(TASK_FEATURES),
        "nodes": list(NODE_FEATURES),
        "scales": {"linear": LINEAR_SCALE, "log": LOG_SCALE, "limit": LIMIT},
    }
    prior_feature = PRIOR_FEATURE

    def act(self, task: TaskState, nodes: NodeState) -> int:
        """Choose a machine for one task: the best-scored one on which the circuit fits.

        Args:
            task: The task's state, unbatched.
            nodes: The machines' states, unbatched.
        """
        features = placement_features(task, nodes)
        fits: Bools = task.mask & np.isfinite(task.service)
        return int(np.where(fits, self.scores(*features, task.mask), -np.inf).argmax())
