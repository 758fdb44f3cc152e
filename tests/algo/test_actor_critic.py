"""Gradient steps of actor-critics: which rows, and in parts the step over all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import observations, shape
from ray.rllib.core.columns import Columns
from toys import DelayedCosts
from training import SMALL_A2C

from qexp.algo import A2C, PPO, actor_critic


def rows(count):
    rng = np.random.default_rng(3)
    seen = observations(2, count)
    return {
        Columns.OBS: {key: np.asarray(value) for key, value in seen.items()},
        Columns.ACTIONS: np.asarray(seen["action_mask"]).argmax(-1),
        actor_critic.ADVANTAGES: rng.normal(size=count).astype(np.float32),
        actor_critic.VALUE_TARGETS: rng.normal(size=count).astype(np.float32),
    }


@pytest.mark.parametrize("count", [7, 23])
def test_a_step_in_parts_is_the_step_over_the_whole_batch(ray, monkeypatch, count):
    from qexp.algo.train import rllib_config

    figures, weights = [], []
    for at_once in (10, 10_000):
        monkeypatch.setattr(actor_critic, "ROWS_AT_ONCE", at_once)
        algorithm = rllib_config(A2C(**SMALL_A2C | {"hidden": 8}), shape(), DelayedCosts, seed=0).build_algo()
        try:
            (result,) = algorithm.learn(rows(count))
            result = dict(result["default_policy"])
            figures.append(
                {key: float(value.peek()) for key, value in (result.pop("figures") | result).items()}
            )
            weights.append(algorithm.get_module().state_dict())
        finally:
            algorithm.stop()
    assert figures[0].keys() == figures[1].keys() >= {"policy_loss", "value_loss", "entropy", "total_loss"}
    for key, value in figures[0].items():
        assert value == pytest.approx(figures[1][key], rel=1e-4, abs=1e-6), key
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=1e-3, atol=1e-6)


@pytest.mark.usefixtures("ray")
def test_minibatches_are_the_batch_in_another_order_and_each_is_a_step(monkeypatch):
    from qexp.algo.train import rllib_config

    seen = []

    class Watched(PPO):
        def loss(self, batch, progress):
            seen.append(batch)
            return super().loss(batch, progress)

    config = Watched(**SMALL_A2C | {"hidden": 8}, epochs=3, minibatches=4)
    algorithm = rllib_config(config, shape(), DelayedCosts, seed=0).build_algo()
    try:
        (rollout,) = algorithm.collect(with_logits=True).values()
        batch = algorithm.batch([rollout])
        algorithm.learn(batch)
        (optimizer,) = algorithm.learner_group.get_state()["learner"]["optimizer"].values()
    finally:
        algorithm.stop()
    assert {float(entry["step"]) for entry in optimizer["state"]["state"].values()} == {12.0}
    count = len(batch[Columns.ACTIONS])
    assert [len(part.actions) for part in seen] == [count // 4] * 12
    for epoch in range(3):
        rows = torch.cat([part.advantages for part in seen[4 * epoch : 4 * epoch + 4]]).numpy()
        assert not np.array_equal(rows, batch["advantages"])
        np.testing.assert_array_equal(np.sort(rows), np.sort(batch["advantages"]))
    # What was sampled with is what the first step starts from; later ones have moved away from it.
    torch.testing.assert_close(seen[0].logits, seen[0].old_logits, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(seen[-1].logits, seen[-1].old_logits, rtol=1e-4, atol=1e-5)
