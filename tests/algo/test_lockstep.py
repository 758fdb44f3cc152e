from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from toys import FEATURES, LENGTH, NODES, DelayedCosts

from qexp.algo.configs import A2CConfig, DQNConfig
from qexp.algo.lockstep import LockstepEnvRunner
from qexp.algo.modules import ActorCriticModule, QModule
from qexp.placement.features import PRIOR_FEATURE
from qexp.problem.network import Architecture

ENVS = 6


def make_runner(ticks=LENGTH + 1, *, module=ActorCriticModule, env=DelayedCosts, seed=0, **architecture):
    shape = {"hidden": 8, "task_features": 2, "node_features": FEATURES, "prior_feature": PRIOR_FEATURE}
    shape |= architecture
    config = A2CConfig() if module is ActorCriticModule else DQNConfig()
    config.num_envs_per_env_runner = ENVS
    config.rollout_fragment_length = ticks
    config.seed = seed
    config.env = lambda context: env(context["num_envs"])
    config.architecture = Architecture(**shape).as_dict()
    return LockstepEnvRunner(config=config, worker_index=0)


def recorded(runner, ticks):
    """Replay the runner's actions in an environment of its own and return what happened."""
    rollout = runner.sample()
    env = DelayedCosts(ENVS)
    observation, _ = env.reset(seed=runner._seed)
    return rollout, [(observation,), *(env.step(rollout.actions[tick]) for tick in range(ticks))]


@pytest.mark.usefixtures("ray")
class TestRollout:
    def test_holds_what_the_environment_showed_and_paid(self):
        ticks = 2 * LENGTH + 3
        rollout, history = recorded(make_runner(ticks), ticks)
        for tick, (observation, *_) in enumerate(history):
            for key, value in observation.items():
                np.testing.assert_array_equal(rollout.observations[key][tick], value)
        np.testing.assert_array_equal(rollout.rewards, [step[1] for step in history[1:]])
        np.testing.assert_array_equal(rollout.terminated, [step[2] for step in history[1:]])
        assert rollout.terminated.any()
        assert not rollout.truncated.any()

    def test_marks_the_ticks_that_only_reset(self):
        rollout = make_runner(3 * LENGTH).sample()
        assert rollout.acted[0].all()
        np.testing.assert_array_equal(rollout.acted[1:], ~rollout.terminated[:-1])

    def test_continues_where_the_last_one_stopped(self):
        runner, once = make_runner(5), make_runner(10)
        first, second, whole = runner.sample(), runner.sample(), once.sample()
        for key in first.observations:
            np.testing.assert_array_equal(first.observations[key][-1], second.observations[key][0])
            np.testing.assert_array_equal(second.observations[key], whole.observations[key][5:])
        np.testing.assert_array_equal(np.concatenate([first.actions, second.actions]), whole.actions)
        np.testing.assert_array_equal(np.concatenate([first.acted, second.acted]), whole.acted)

    def test_knows_the_values_that_advantages_need(self):
        # Cut in the middle of an episode: the value of the state after the last tick counts.
        runner = make_runner(LENGTH // 2)
        rollout = runner.sample()
        batch = {"obs": {key: torch.from_numpy(value[-1]) for key, value in rollout.observations.items()}}
        expected = runner.module.compute_values(batch).detach().numpy()
        np.testing.assert_allclose(rollout.outputs["vf_preds"][-1], expected, rtol=1e-5)
        assert expected.any()

    def test_knows_the_value_of_the_state_an_episode_was_cut_off_in(self):
        runner = make_runner(LENGTH + 1, env=lambda n: DelayedCosts(n, truncating=True))
        rollout = runner.sample()
        assert rollout.truncated[LENGTH - 1].all()
        batch = {"obs": {key: torch.from_numpy(value[LENGTH]) for key, value in rollout.observations.items()}}
        expected = runner.module.compute_values(batch).detach().numpy()
        np.testing.assert_allclose(rollout.outputs["vf_preds"][LENGTH], expected, rtol=1e-5)

    def test_can_be_random_or_start_anew(self):
        runner = make_runner(5)
        before = runner.sample()
        again = runner.sample(random_actions=True, force_reset=True, num_timesteps=7)
        assert again.actions.shape == (2, ENVS)
        assert again.acted[0].all()
        # Neither the episodes under way nor those of the first start once more.
        for tick in (0, -1):
            assert not np.array_equal(again.observations["nodes"][0], before.observations["nodes"][tick])


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(
    ("module", "exploration"),
    [(ActorCriticModule, {}), (QModule, {"epsilon": 0.5}), (QModule, {"epsilon": 0.0})],
)
@pytest.mark.parametrize("explore", [True, False])
def test_a_forbidden_node_is_never_chosen(module, exploration, explore):
    runner = make_runner(500, module=module)
    runner.sample(explore=explore, **exploration)
    assert runner.env.chosen_masked == 0


@pytest.mark.usefixtures("ray")
def test_exploration_follows_the_policy():
    # An untrained network is its prior: with one allowed logit lower by log 3, odds are 3 to 1.
    runner = make_runner(1, prior=1.0)
    logits = -np.log([1.0, 3.0, 3.0, 3.0])
    nodes = np.zeros((20_000, NODES, FEATURES), dtype=np.float32)
    nodes[..., PRIOR_FEATURE] = -logits
    batch = {
        "obs": {
            "task": torch.zeros(20_000, 2),
            "nodes": torch.from_numpy(nodes),
            "action_mask": torch.tensor([1, 1, 0, 1]).expand(20_000, -1),
        }
    }
    generator = torch.Generator().manual_seed(0)
    actions = runner.module.forward_exploration(batch, generator=generator)["actions"].numpy()
    np.testing.assert_allclose(np.bincount(actions, minlength=4) / 20_000, [0.6, 0.2, 0.0, 0.2], atol=0.01)
    assert (runner.module.forward_inference(batch)["actions"] == 0).all()


@pytest.mark.usefixtures("ray")
def test_epsilon_is_the_share_of_random_choices():
    runner = make_runner(1, module=QModule, prior=1.0)
    nodes = torch.zeros(20_000, NODES, FEATURES)
    nodes[:, 1:, PRIOR_FEATURE] = 1.0
    mask = torch.tensor([1, 1, 0, 1]).expand(20_000, -1)
    batch = {"obs": {"task": torch.zeros(20_000, 2), "nodes": nodes, "action_mask": mask}}
    generator = torch.Generator().manual_seed(0)
    actions = runner.module.forward_exploration(batch, generator=generator, epsilon=0.3)["actions"].numpy()
    np.testing.assert_allclose(np.bincount(actions, minlength=4) / 20_000, [0.8, 0.1, 0.0, 0.1], atol=0.01)


@pytest.mark.usefixtures("ray")
def test_metrics_are_those_of_the_finished_episodes():
    runner = make_runner(2 * (LENGTH + 1))
    rollout = runner.sample()
    metrics = runner.get_metrics()
    assert metrics["num_env_steps_sampled"].peek() == rollout.acted.sum() == 2 * LENGTH * ENVS
    assert metrics["num_episodes"].peek() == 2 * ENVS
    assert metrics["episode_len_mean"].peek() == LENGTH
    assert metrics["episode_return_mean"].peek() == pytest.approx(rollout.rewards.sum() / (2 * ENVS))
    # Every cost is billed once, so the total the environment reports is minus the return.
    assert metrics["episode_total_completion_time_mean"].peek() == pytest.approx(
        -rollout.rewards.sum() / (2 * ENVS)
    )


@pytest.mark.usefixtures("ray")
def test_weights_are_taken_over_unless_they_are_old():
    source, target = make_runner(seed=1), make_runner(seed=2)
    weights = source.get_state(components="rl_module")["rl_module"]
    target.set_state({"rl_module": {"default_policy": weights}, "weights_seq_no": 5})
    for key, value in target.module.get_state().items():
        np.testing.assert_array_equal(value, weights[key])
    other = {key: value + 1 for key, value in weights.items()}
    name = "network.value_out.bias"
    target.set_state({"rl_module": other, "weights_seq_no": 5})
    assert target.module.get_state()[name] == weights[name]
    target.set_state({"rl_module": other, "weights_seq_no": 6})
    assert target.module.get_state()[name] == other[name]


@pytest.mark.usefixtures("ray")
def test_open_episodes_hold_the_exploration_so_that_a_copy_chooses_alike():
    source, target = make_runner(), make_runner()
    source.sample()
    batch = {"obs": {key: torch.from_numpy(value) for key, value in source._observation.items()}}
    target.set_state(source.get_state())
    target.reopen_episodes(source.open_episodes())

    def choice(runner):
        return runner.module.forward_exploration(batch, generator=runner._generator)["actions"].tolist()

    assert choice(source) == choice(target)


@pytest.mark.usefixtures("ray")
def test_an_environment_that_resets_in_the_same_step_is_refused():
    class SameStep(DelayedCosts):
        metadata: ClassVar = {"autoreset_mode": AutoresetMode.SAME_STEP}

    with pytest.raises(ValueError, match="must reset on the next step"):
        make_runner(env=SameStep)


@pytest.mark.usefixtures("ray")
def test_runners_of_one_run_see_different_episodes():
    seeds = set()
    for worker in (1, 2):
        runner = make_runner(seed=3)
        seeds.add(LockstepEnvRunner(config=runner.config, worker_index=worker)._seed)
    assert len(seeds) == 2
    assert max(seeds) - min(seeds) > ENVS
