"""The six parts of Rainbow together: targets, masks, switches, export, learning."""

from __future__ import annotations

import itertools
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import ATOMS, make_module, observations, randomise, shape, slow_projection
from ray.rllib.core.columns import Columns
from toys import DelayedCosts, best_cost, random_cost
from training import SMALL_DQN, cost_of_policy, policy_weights, run

from qexp.algo import DQN
from qexp.algo.modules import QF_NEXT_PREDS, QF_PREDS, QF_TARGET_NEXT_PREDS
from qexp.algo.q_learning import DISCOUNTS, WEIGHTS
from qexp.errors import InputError
from qexp.placement.features import NODE_FEATURES, TASK_FEATURES
from qexp.placement.policy import PlacementPolicy
from qexp.policy import load_policy
from qexp.problem.bundle import forward, save_policy
from qexp.problem.extract import extract
from qexp.problem.network import NoisyLinear, ScorerNetwork

SWITCHES = ("double", "dueling", "prioritized", "distributional", "noisy")


def losses(algorithm, module, batch):
    """Return priorities, which tell every row's target, of the algorithm's own learner."""
    learner = algorithm.learner_group._learner
    learner.module["default_policy"].load_state_dict(module.state_dict())
    seen = {}

    class Metrics:
        def log_value(self, key, value, **_):
            seen["priorities"] = value

        def log_dict(self, values, **_):
            seen.update(values)

    outputs = learner.module["default_policy"]._forward_train(batch)
    keep, learner.metrics = learner.metrics, Metrics()
    try:
        loss = learner.compute_loss_for_module(
            module_id="default_policy", config=learner.config, batch=batch, fwd_out=outputs
        )
    finally:
        learner.metrics = keep
    return loss.item(), {key: value.detach().numpy() for key, value in seen.items()}


@pytest.fixture(scope="module")
def algorithms(ray):
    """An algorithm per combination of double and distributional."""
    from qexp.algo.train import rllib_config

    built = {}
    for double, distributional in itertools.product([True, False], repeat=2):
        config = DQN(**SMALL_DQN | {"hidden": 8, "double": double, "distributional": distributional})
        built[double, distributional] = rllib_config(
            config, shape(dueling=True, prior=0.2, **(ATOMS if distributional else {})), DelayedCosts, seed=0
        ).build_algo()
    yield built
    for algorithm in built.values():
        algorithm.stop()


@pytest.mark.parametrize("double", [True, False], ids=["double", "single"])
@pytest.mark.parametrize("distributional", [True, False], ids=["distributional", "plain"])
def test_targets_row_by_row(algorithms, double, distributional):
    """Who chooses the next node, who values it, and that nobody looks at forbidden ones."""
    module = make_module(dueling=True, prior=0.2, seed=5, **(ATOMS if distributional else {}))
    rng, rows = np.random.default_rng(0), 64
    batch = {
        Columns.OBS: observations(0, rows),
        Columns.NEXT_OBS: observations(1, rows),
        Columns.REWARDS: torch.from_numpy(rng.uniform(-1, 0, rows).astype(np.float32)),
        DISCOUNTS: torch.from_numpy(rng.choice([0.0, 0.9, 1.0], rows).astype(np.float32)),
        WEIGHTS: torch.from_numpy(rng.uniform(0.2, 1, rows).astype(np.float32)),
    }
    batch[Columns.ACTIONS] = batch[Columns.OBS]["action_mask"].long().argmax(-1)
    batch[Columns.NEXT_OBS]["action_mask"][7] = 0  # a state without any choice
    batch[DISCOUNTS][7] = 1.0
    loss, seen = losses(algorithms[double, distributional], module, batch)

    def of(network, key):
        part = batch[key]
        with torch.no_grad():
            outputs, _ = network.outputs(part["task"], part["nodes"], part["action_mask"])
        return outputs.numpy().astype(float)

    support = np.linspace(-3, 1, 11)
    chosen, online, target = (
        of(module.network, Columns.OBS),
        of(module.network, Columns.NEXT_OBS),
        of(module.target_network, Columns.NEXT_OBS),
    )
    masks = batch[Columns.NEXT_OBS]["action_mask"].numpy()
    differ, expected = 0, []
    for row in range(rows):
        reward, discount = float(batch[Columns.REWARDS][row]), float(batch[DISCOUNTS][row])

        def softmax(logits):
            return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

        def values(outputs):
            return softmax(outputs) @ support if distributional else outputs[:, 0]

        allowed = np.flatnonzero(masks[row])
        picks = [
            max(allowed, key=lambda n, v=v: v[n], default=0) for v in map(values, (online[row], target[row]))
        ]
        differ += picks[0] != picks[1]
        best = picks[0] if double else picks[1]
        discount = discount if len(allowed) else 0.0
        action = int(batch[Columns.ACTIONS][row])
        if distributional:
            aim = slow_projection(softmax(target[row, best]), reward, discount, support)
            cross = -(aim * np.log(softmax(chosen[row, action]))).sum()
            entropy = -(aim[aim > 0] * np.log(aim[aim > 0])).sum()
            expected.append((cross, cross - entropy))
        else:
            error = chosen[row, action, 0] - reward - discount * target[row, best, 0]
            expected.append((0.5 * error**2 if abs(error) < 1 else abs(error) - 0.5, error))
    assert differ > 5  # or the test would not tell who chose
    parts, priorities = np.array(expected).T
    np.testing.assert_allclose(seen["priorities"], priorities, atol=2e-4)
    assert loss == pytest.approx((batch[WEIGHTS].numpy() * parts).mean(), rel=1e-3)
    assert np.isfinite(seen["q_mean"])
    assert np.isfinite(seen["td_error_mean"])


@pytest.mark.parametrize("atoms", [{}, ATOMS], ids=["plain", "distributional"])
@pytest.mark.parametrize("sigma0", [None, 0.5], ids=["still", "noisy"])
def test_forbidden_nodes_are_never_chosen_and_worth_nothing(atoms, sigma0):
    module = make_module(sigma0=sigma0, dueling=True, **atoms)
    seen = observations(0, 300)
    allowed = seen["action_mask"].bool()
    batch = {Columns.OBS: seen, Columns.NEXT_OBS: seen}
    for epsilon in (0.0, 1.0):
        actions = module.forward_exploration(batch, epsilon=epsilon)[Columns.ACTIONS]
        assert allowed.gather(1, actions[:, None]).all()
    assert allowed.gather(1, module.forward_inference(batch)[Columns.ACTIONS][:, None]).all()
    outputs = module._forward_train(batch)
    for key in (QF_NEXT_PREDS, QF_TARGET_NEXT_PREDS):
        assert torch.isneginf(outputs[key][~allowed]).all()
        assert torch.isfinite(outputs[key][allowed]).all()
    assert all(torch.isfinite(value).all() for key, value in outputs.items() if "logits" in key)


# The switches, from the config to what is built.


@pytest.mark.usefixtures("ray")
def test_each_switch_changes_what_is_built():
    from qexp.algo.train import architecture_of, rllib_config

    full = DQN(**SMALL_DQN | dict.fromkeys(SWITCHES, True) | {"n_step": 3, "epsilon": 0.4})

    def built(config):
        algorithm = rllib_config(
            config, architecture_of(config, DelayedCosts), DelayedCosts, seed=0
        ).build_algo()
        try:
            module = algorithm.env_runner.module
            replay = algorithm.local_replay_buffer
            return {
                "double": algorithm.config.double_q,
                "dueling": module.network.architecture.dueling,
                "prioritized": replay._exponent > 0,
                "distributional": module.network.architecture.atoms == config.atoms,
                "noisy": any(isinstance(layer, NoisyLinear) for layer in module.network.modules()),
                "n_step": replay._n_step,
                "epsilon": algorithm.epsilon(),
            }
        finally:
            algorithm.stop()

    rainbow = dict.fromkeys(SWITCHES, True) | {"n_step": 3, "epsilon": 0.0}
    assert built(full) == rainbow
    for switch in SWITCHES:
        expected = rainbow | {switch: False} | ({"epsilon": 0.4} if switch == "noisy" else {})
        assert built(replace(full, **{switch: False})) == expected
    assert built(replace(full, n_step=1)) == rainbow | {"n_step": 1}


@pytest.mark.usefixtures("ray")
def test_importance_weights_reach_their_full_strength_at_the_end(tmp_path, monkeypatch):
    from qexp.algo.replay import Replay

    betas, sample = [], Replay.sample

    def watched(self, rows, *, importance_exponent):
        betas.append(importance_exponent)
        return sample(self, rows, importance_exponent=importance_exponent)

    monkeypatch.setattr(Replay, "sample", watched)
    run(DQN(env_steps=10_000, **SMALL_DQN | {"importance_exponent": 0.4}), tmp_path)
    assert betas == sorted(betas)
    assert 0.4 <= betas[0] < 0.6
    assert 0.85 < betas[-1] <= 1.0


@pytest.mark.parametrize("on", list(itertools.product([False, True], repeat=3)), ids=str)
def test_the_exported_policy_decides_as_the_module_without_exploration(on, tmp_path):
    dueling, distributional, noisy = on
    features = {"task_features": len(TASK_FEATURES), "node_features": len(NODE_FEATURES)}
    architecture = {**features, "dueling": dueling, **(ATOMS if distributional else {})}
    module = make_module(sigma0=0.5 if noisy else None, **architecture)
    checkpoint = tmp_path / "iteration_000001"
    write_checkpoint(checkpoint, module)
    policy = load_policy(extract(checkpoint, tmp_path / "policy"))
    assert not any("spread" in name for name in policy.weights)
    assert np.abs(policy.description["golden"]).max() > 0
    seen = observations(0, 400, nodes=6, **features)
    expected = module.forward_inference({Columns.OBS: seen})[Columns.ACTIONS].numpy()
    arrays = {key: value.numpy() for key, value in seen.items()}
    chosen = policy.decide(arrays["task"], arrays["nodes"], arrays["action_mask"])
    assert (chosen == expected).all()
    assert len(set(chosen.tolist())) == 6
    values = module.compute_q_values({Columns.OBS: seen})[QF_PREDS].detach().numpy()
    scores = policy.scores(arrays["task"], arrays["nodes"], arrays["action_mask"])
    allowed = arrays["action_mask"] == 1
    if distributional:
        np.testing.assert_allclose(scores[allowed], values[allowed], atol=1e-4)
    difference = np.where(allowed, scores - np.where(allowed, values, 0.0), np.nan)
    assert np.nanmax(np.nanmax(difference, 1) - np.nanmin(difference, 1)) < 1e-4
    # The same as a Torch module.
    again, _ = policy.network()(seen["task"], seen["nodes"], seen["action_mask"])
    np.testing.assert_allclose(again.detach().numpy()[allowed], values[allowed], atol=1e-5)


def write_checkpoint(folder, module):
    """Write what `extract` reads of a checkpoint."""
    path = folder / "learner_group" / "learner" / "rl_module" / "default_policy" / "module_state.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(module.get_state()))
    description = {"algorithm": "dqn", "architecture": module.network.architecture.as_dict()}
    (folder / "qexp.json").write_text(json.dumps(description))


def test_bundles_from_before_there_were_atoms_still_load(tmp_path):
    network = randomise(ScorerNetwork(PlacementPolicy.architecture(hidden=8, dueling=True)))
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    old = {
        key: value
        for key, value in network.architecture.as_dict().items()
        if key not in {"atoms", "value_min", "value_max"}
    }
    policy = load_policy(save_policy(tmp_path / "policy", weights, {"algorithm": "dqn", "architecture": old}))
    seen = {
        key: value.numpy()
        for key, value in observations(
            0, 5, task_features=len(TASK_FEATURES), node_features=len(NODE_FEATURES)
        ).items()
    }
    expected = forward(weights, network.architecture.as_dict(), seen["task"], seen["nodes"])
    np.testing.assert_array_equal(policy.scores(seen["task"], seen["nodes"]), expected)
    assert policy.network().architecture == network.architecture


def test_a_bundle_with_another_number_of_atoms_is_refused(tmp_path):
    network = ScorerNetwork(PlacementPolicy.architecture(hidden=8, **ATOMS))
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    wrong = network.architecture.as_dict() | {"atoms": 10**9}
    with pytest.raises(InputError, match="11 outputs for 1000000000 atoms"):
        save_policy(tmp_path / "policy", weights, {"algorithm": "dqn", "architecture": wrong})


# All together.

RAINBOW = SMALL_DQN | dict.fromkeys(SWITCHES, True) | {"value_min": -16.0, "n_step": 2}


@pytest.mark.usefixtures("ray")
def test_the_full_rainbow_learns(tmp_path):
    config = DQN(env_steps=40_000, **RAINBOW)
    result = run(config, tmp_path)
    best, random = best_cost(), random_cost()
    assert cost_of_policy(result.checkpoint) < best + 0.1 * (random - best)
    first, last = result.history[0], result.history[-1]
    assert last["episode_total_completion_time_mean"] < first["episode_total_completion_time_mean"]


@pytest.mark.usefixtures("ray")
def test_the_same_seed_draws_the_same_noise(tmp_path):
    config = DQN(env_steps=4_000, **RAINBOW)
    runs = [
        policy_weights(run(config, tmp_path / name, seed=seed).checkpoint)
        for name, seed in [("a", 1), ("b", 1)]
    ]
    assert all(np.array_equal(runs[0][key], runs[1][key]) for key in runs[0])
