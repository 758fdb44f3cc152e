"""What the tests of policies share: weights to save, and what a training run says of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qexp.placement.features import NODE_FEATURES, PRIOR_FEATURE, TASK_FEATURES


@pytest.fixture(scope="session")
def metadata() -> dict[str, object]:
    """What a training run says about its policy."""
    architecture = {
        "hidden": 16,
        "prior": 4.0,
        "task_features": len(TASK_FEATURES),
        "node_features": len(NODE_FEATURES),
        "prior_feature": PRIOR_FEATURE,
        "dueling": False,
    }
    return {"algorithm": "a2c", "architecture": architecture, "seed": 3}


@pytest.fixture(scope="session")
def make_weights() -> Callable[..., dict[str, np.ndarray]]:
    """Make random weights, by their names and shapes as Torch would have them."""

    def make(seed: int = 0, hidden: int = 16) -> dict[str, np.ndarray]:
        inputs = {
            "embed_node": len(NODE_FEATURES),
            "embed_task": len(TASK_FEATURES),
            "embed_2": hidden,
            "score_node": hidden,
            "score_pool": 2 * hidden,
            "score_out": hidden,
            "value_task": len(TASK_FEATURES),
            "value_pool": 2 * hidden,
            "value_out": hidden,
        }
        rng = np.random.default_rng(seed)
        weights = {}
        for name, width in inputs.items():
            out = 1 if name.endswith("out") else hidden
            weights[f"{name}.weight"] = rng.normal(0, width**-0.5, (out, width)).astype(np.float32)
            weights[f"{name}.bias"] = rng.normal(0, 0.1, out).astype(np.float32)
        return weights

    return make
