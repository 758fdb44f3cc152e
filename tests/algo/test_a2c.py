"""A2C's gradient step: computed in parts, it is the step over the whole batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import observations, shape
from ray.rllib.core.columns import Columns
from test_train import SMALL_A2C
from toys import DelayedCosts

from qexp.algo import a2c
from qexp.algo.config import A2C


def rows(count):
    rng = np.random.default_rng(3)
    seen = observations(2, count)
    return {
        Columns.OBS: {key: np.asarray(value) for key, value in seen.items()},
        Columns.ACTIONS: np.asarray(seen["action_mask"]).argmax(-1),
        a2c.ADVANTAGES: rng.normal(size=count).astype(np.float32),
        a2c.VALUE_TARGETS: rng.normal(size=count).astype(np.float32),
    }


@pytest.mark.parametrize("count", [7, 23])
def test_a_step_in_parts_is_the_step_over_the_whole_batch(ray, monkeypatch, count):
    from qexp.algo.train import build

    figures, weights = [], []
    for at_once in (10, 10_000):
        monkeypatch.setattr(a2c, "ROWS_AT_ONCE", at_once)
        algorithm = build(A2C(**SMALL_A2C | {"hidden": 8}), shape(), DelayedCosts, seed=0)
        try:
            (result,) = algorithm.learn(rows(count))
            figures.append({key: float(value.peek()) for key, value in result["default_policy"].items()})
            weights.append(algorithm.get_module().state_dict())
        finally:
            algorithm.stop()
    assert figures[0].keys() == figures[1].keys() >= {"policy_loss", "vf_loss", "entropy", "total_loss"}
    for key, value in figures[0].items():
        assert value == pytest.approx(figures[1][key], rel=1e-4, abs=1e-6), key
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=1e-3, atol=1e-6)
