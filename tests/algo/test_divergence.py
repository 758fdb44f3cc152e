"""Training that diverges ends at once, says what to change, and leaves no broken checkpoint."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest
import torch
from networks import observations, randomise, shape
from toys import LENGTH
from training import SMALL_A2C, SMALL_DQN, policy_weights, run

from qexp.algo import A2C, DQN, PPO
from qexp.algo.checkpoint import newest_checkpoint
from qexp.algo.lockstep_algorithm import what_diverged
from qexp.errors import DivergenceError, InputError
from qexp.gates.gate_scheduling import GateScheduling
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.problem.network import ScorerNetwork

WILD = {"lr": 1e12, "grad_clip": 1e30}
CONFIGS = {
    "a2c": A2C(env_steps=100 * 64 * LENGTH, **SMALL_A2C | WILD),
    "ppo": PPO(env_steps=100 * 64 * LENGTH, **SMALL_A2C | WILD),
    "dqn": DQN(env_steps=60_000, **SMALL_DQN | WILD),
    "dqn-distributional": DQN(env_steps=60_000, distributional=True, noisy=True, **SMALL_DQN | WILD),
}


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("place", ["toy", "placement", "gates"])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_diverged_training_ends_within_ten_iterations(name, place, qce25, tmp_path):
    rows = []
    makes = {
        "placement": {"make": lambda num_envs: PlacementVectorEnv(qce25, num_envs)},
        "gates": {"make": GateScheduling().make_vector_env},
    }
    with pytest.raises(DivergenceError) as ended:
        run(CONFIGS[name], tmp_path, on_iteration=rows.append, **makes.get(place, {}))
    learning = [row for row in rows if "lr" in row]
    assert len(learning) <= 10
    message = str(ended.value)
    assert message.startswith(f"training diverged in iteration {len(rows)}: the ")
    assert message.endswith("lower algo.lr, algo.grad_clip or algo.reward_scale")
    assert "\n" not in message
    assert ended.value.history == rows
    json.dumps(ended.value.history, allow_nan=False)
    assert not isinstance(ended.value, InputError)


class Switch:
    """A loss that is well for some time."""

    good = 4


class Later(A2C):
    """A2C that breaks after some gradient steps."""

    def loss(self, batch, progress):
        Switch.good -= 1
        loss, figures = super().loss(batch, progress)
        return (loss if Switch.good >= 0 else loss * math.inf), figures


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("good", [0, 4, 5])
def test_the_last_good_checkpoint_stays_and_none_is_written_of_a_broken_network(good, tmp_path, monkeypatch):
    monkeypatch.setattr(Switch, "good", good)
    config = Later(env_steps=10**6, checkpoint_every=2, **SMALL_A2C)
    with pytest.raises(DivergenceError, match=rf"in iteration {good + 1}: the loss is ") as ended:
        run(config, tmp_path)
    last, damaged = newest_checkpoint(tmp_path / "checkpoints")
    assert ended.value.checkpoint == last
    assert damaged == []
    if good == 0:
        assert last is None
        return
    assert last.name == "iteration_000004"
    assert all(np.isfinite(value).all() for value in policy_weights(last).values())
    assert "loss" not in ended.value.history[-1]
    assert "loss" in ended.value.history[-2]
    monkeypatch.setattr(Switch, "good", 100)
    cured = Later(env_steps=10 * 64 * LENGTH, checkpoint_every=2, **SMALL_A2C)
    assert len(run(cured, tmp_path, resume_from=last).history) == 10


@pytest.mark.usefixtures("ray")
def test_what_breaks_because_training_diverged_is_not_the_reason(tmp_path):
    class Strict(A2C):
        def loss(self, batch, progress):
            if not torch.isfinite(batch.logits).all():
                raise ZeroDivisionError
            return super().loss(batch, progress)

    with pytest.raises(DivergenceError, match="the network's"):
        run(Strict(env_steps=10**6, **SMALL_A2C | WILD | {"prior": 4.0}), tmp_path)


@pytest.mark.usefixtures("ray")
def test_another_error_is_passed_on_as_it_is(tmp_path):
    class Broken(A2C):
        def loss(self, batch, progress):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Broken(env_steps=10**6, **SMALL_A2C), tmp_path)


class Module(torch.nn.Module):
    def __init__(self, factor=1.0, **architecture):
        super().__init__()
        self.network = randomise(ScorerNetwork(shape(**architecture)))
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.mul_(factor)


def test_scores_that_are_finite_here_and_overflow_elsewhere_count_as_diverged():
    seen = observations(0, 8)
    for atoms in ({}, {"atoms": 11, "value_min": -3.0, "value_max": 1.0, "dueling": True}):
        assert what_diverged({}, Module(**atoms), seen) is None
        assert what_diverged({}, Module(1e3, **atoms), seen) is None
        assert what_diverged({}, Module(1e8, **atoms), seen).startswith("the network's scores reach ")
        assert what_diverged({}, Module(1e12, **atoms), seen) == "the network's scores are not finite"
        assert what_diverged({}, Module(math.nan, **atoms), seen) == "the network's weights are not finite"


@pytest.mark.usefixtures("ray")
def test_scores_that_came_back_to_reason_had_diverged(qce25, tmp_path):
    config = DQN(env_steps=60_000, **SMALL_DQN | {"lr": 1e6, "lr_final": 0.0, "grad_clip": 10.0})
    with pytest.raises(DivergenceError, match="the network's scores reach "):
        run(config, tmp_path, make=lambda num_envs: PlacementVectorEnv(qce25, num_envs))


@pytest.mark.parametrize("value", [-1e18, 1e26])
def test_the_scores_learned_from_count(value):
    results = {"learners": {"default_policy": {"q_mean": value}}}
    assert what_diverged(results, Module(), {}) == f"the network's scores reach {value:g}"
    assert what_diverged({"learners": {"default_policy": {"q_mean": -1e11}}}, Module(), {}) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("key", ["total_loss", "gradients_default_optimizer_global_norm"])
def test_figures_that_are_no_numbers_count_as_diverged(key, value):
    results = {"learners": {"default_policy": {key: value}}}
    assert what_diverged(results, Module(), {}).endswith(f" is {value:g}")
    assert what_diverged({"learners": {"default_policy": {key: 1e30}}}, Module(), {}) is None


def test_the_error_travels_between_processes(tmp_path):
    sent = pickle.dumps(DivergenceError("in one line", [{"iteration": 1.0}], tmp_path))
    error = pickle.loads(sent)  # noqa: S301 -- just written
    assert (str(error), error.history, error.checkpoint) == ("in one line", [{"iteration": 1.0}], tmp_path)
