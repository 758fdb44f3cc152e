"""What a policy that is recorded, or served, is shown."""

from __future__ import annotations

import numpy as np

from qexp.placement.features import NODE_FEATURES, TASK_FEATURES


def observations(batch, nodes):
    """Random observations; in every one the first node is allowed."""
    rng = np.random.default_rng(batch)
    mask = rng.integers(0, 2, (batch, nodes), dtype=np.int8)
    mask[:, 0] = 1
    return {
        "task": rng.normal(size=(batch, len(TASK_FEATURES))).astype(np.float32),
        "nodes": rng.normal(size=(batch, nodes, len(NODE_FEATURES))).astype(np.float32),
        "action_mask": mask,
    }
