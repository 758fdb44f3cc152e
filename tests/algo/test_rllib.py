"""What works with RLlib and Ray Tune alone: checkpoints in a fresh process, schedules, searches."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest
from toys import LENGTH, DelayedCosts
from training import SMALL_A2C, SMALL_DQN, policy_weights, run

from qexp.algo import A2C, DQN, PPO, A2CConfig, DQNConfig, PPOConfig
from qexp.errors import InputError
from qexp.fleet.fleet import load_fleet
from qexp.placement.placement import Placement

CONFIGS = {
    "a2c": A2C(env_steps=2 * 16 * 25, **SMALL_A2C | {"num_envs": 16, "rollout_length": 25}),
    "ppo": PPO(env_steps=2 * 16 * 25, **SMALL_A2C | {"num_envs": 16, "rollout_length": 25}),
    "dqn": DQN(
        env_steps=2_000,
        **SMALL_DQN | {"num_envs": 16, "learning_starts": 500, "steps_per_iteration": 1000},
    ),
}


def fresh(script, *, cwd):
    """Run a script in a process of its own, and return what it printed."""
    here = Path(__file__).parent
    paths = [str(here.parents[1]), str(here), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.ray
@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_checkpoint_is_an_algorithm_again_in_a_fresh_process(name, tmp_path):
    scenario = Placement(load_fleet("qce5"), tasks=25)
    result = run(CONFIGS[name], tmp_path, make=scenario.make_vector_env)
    weights = policy_weights(result.checkpoint)
    steps = result.env_steps
    script = f"""
    import qexp.algo
    from qexp.algo.session import ray_session
    with ray_session():
        from ray.rllib.algorithms.algorithm import Algorithm
        algorithm = Algorithm.from_checkpoint({str(result.checkpoint)!r})
        weights = algorithm.get_module().get_state()
        print(type(algorithm.env_runner.env).__name__, algorithm.env_runner.env.single_action_space.n)
        print(sum(float(abs(value).sum()) for key, value in sorted(weights.items()) if "target" not in key))
        row = algorithm.train()
        print(row["env_runners"]["num_env_steps_sampled_lifetime"])
        algorithm.stop()
    """
    env, total, after = fresh(script, cwd=tmp_path).splitlines()
    assert env == "PlacementVectorEnv 5"
    expected = sum(float(abs(value).sum()) for key, value in sorted(weights.items()) if "target" not in key)
    assert float(total) == pytest.approx(expected, rel=1e-6)
    assert int(float(after)) > steps


@pytest.mark.usefixtures("ray")
def test_environments_of_one_registry_keep_apart():
    from qexp.algo.lockstep_algorithm import register_vector_env, registered_vector_env

    first = register_vector_env(DelayedCosts)
    other = register_vector_env(partial(DelayedCosts, truncating=True))
    assert register_vector_env(DelayedCosts) == first != other
    assert not registered_vector_env(first)(2).truncating
    assert registered_vector_env(other)(2).truncating
    assert registered_vector_env("nobody") is None


@pytest.mark.usefixtures("ray")
def test_a_config_of_rllib_alone_follows_its_own_limits():
    from qexp.algo import A2CConfig, register_vector_env

    config = A2CConfig().environment(register_vector_env(DelayedCosts))
    config.env_runners(num_envs_per_env_runner=16, rollout_fragment_length=LENGTH + 1)
    config.debugging(seed=0)
    config.env_steps = 4 * 16 * LENGTH
    config.lr, config.lr_final, config.hidden = 1e-2, 0.0, 8
    config.entropy_coeff, config.entropy_final = 0.04, 0.0
    algorithm = config.build_algo()
    try:
        learners = [algorithm.train()["learners"]["default_policy"] for _ in range(5)]
        assert algorithm.get_module().network.architecture.hidden == 8
    finally:
        algorithm.stop()
    shares = [1.0, 0.75, 0.5, 0.25, 0.0]
    assert [row["learning_rate"] for row in learners] == pytest.approx([1e-2 * share for share in shares])
    coefficients = [row["figures"]["entropy_coefficient"] for row in learners]
    assert coefficients == pytest.approx([0.04 * share for share in shares])


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("name", CONFIGS)
def test_whoever_trains_may_still_say_how_far_it_is(name):
    from qexp.algo.train import architecture_of, rllib_config

    config = CONFIGS[name]
    algorithm = rllib_config(config, architecture_of(config, DelayedCosts), DelayedCosts, seed=0).build_algo()
    try:
        for progress in (0.5, 0.2):
            algorithm.progress = progress
            algorithm.train()
            assert algorithm.progress == progress
    finally:
        algorithm.stop()


def test_the_settings_of_an_algorithm_are_those_of_its_config():
    from qexp.algo import PPOConfig
    from qexp.algo.actor_critic import ActorCriticConfig

    @dataclass(kw_only=True)
    class Mine(PPO):
        explore: bool = False  # RLlib means something else by it
        care: float = 0.1

        def loss(self, batch, progress):
            return super().loss(batch, self.care * progress)

    config = ActorCriticConfig(option=Mine(entropy=0.02, gae_lambda=0.9, clip=0.3))
    assert (config.lambda_, config.entropy_coeff, config.clip, config.care) == (0.9, 0.02, 0.3, 0.1)
    assert config.explore is True
    config.training(lr=1e-4, entropy_coeff=0.5)
    config.clip, config.care = 0.1, 0.2
    option = ActorCriticConfig.from_state(config.get_state()).current_option()
    assert option == Mine(entropy=0.5, gae_lambda=0.9, lr=1e-4, clip=0.1, care=0.2)
    again = ActorCriticConfig().update_from_dict(config.to_dict())
    assert again.current_option() == option
    assert PPOConfig().current_option() == PPO()


def test_former_names_still_stand_for_the_configs():
    from qexp.algo import A2CConfig, DQNConfig, a2c, dqn

    assert a2c.A2CAlgorithmConfig is A2CConfig
    assert dqn.DQNAlgorithmConfig is DQNConfig


def test_names_are_imported_when_they_are_asked_for():
    script = """
    import sys
    import qexp.algo
    assert {"OnPolicy", "A2CConfig"} <= set(dir(qexp.algo))
    try:
        qexp.algo.Nothing
    except AttributeError as error:
        print(error)
    print(sorted({"ray", "torch", "numpy", "gymnasium"} & sys.modules.keys()))
    """
    assert fresh(script, cwd=".") == "module 'qexp.algo' has no attribute 'Nothing'\n[]\n"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (A2CConfig().training(lr=[[0, 1e-2], [300, 1e-4]]), "^lr=.*: set lr and lr_final$"),
        (DQNConfig().training(lr=[[0, 1e-2], [300, 1e-4]]), "^lr=.*: set lr and lr_final$"),
        (PPOConfig().training(entropy_coeff=((0, 0.1), (9, 0.0))), ": set entropy_coeff and entropy_final$"),
    ],
)
def test_a_schedule_in_steps_is_refused_in_a_line(config, said):
    with pytest.raises(InputError, match=said):
        config.validate()


@pytest.mark.ray
@pytest.mark.parametrize("kind", ["A2C", "PPO", "DQN"])
def test_ray_tune_searches_over_a_config(kind, tmp_path):
    """Two trials of two iterations: each with its own learning rate, which falls as the trial goes."""
    script = f"""
    import os
    os.environ |= {{"RAY_AIR_NEW_OUTPUT": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}}
    from qexp.algo.session import ray_session
    with ray_session(1):
        from ray import tune
        from qexp.algo import {kind}Config, register_vector_env
        from qexp.fleet.fleet import load_fleet
        from qexp.placement.placement import Placement
        scenario = Placement(load_fleet("qce5"), tasks=5)
        config = {kind}Config().environment(register_vector_env(scenario.make_vector_env))
        config.env_runners(num_envs_per_env_runner=16, rollout_fragment_length=6)
        config.env_steps = 400
        if {kind!r} == "DQN":
            config.num_steps_sampled_before_learning_starts = 10
            config.reporting(min_sample_timesteps_per_iteration=96)
            config.batch_size, config.target_network_update_freq = 32, 100
        config.lr, config.hidden = tune.grid_search([1e-2, 1e-3]), 8
        results = tune.Tuner(
            config.algo_class,
            param_space=config,
            run_config=tune.RunConfig(
                stop={{"training_iteration": 2}}, storage_path={str(tmp_path)!r}, verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
            ),
        ).fit()
        assert not results.errors, results.errors
        for result in results:
            rate = result.metrics["learners"]["default_policy"]["learning_rate"]
            assert 0.5 * result.config["lr"] < rate < 0.9 * result.config["lr"]
            print(result.config["lr"], result.checkpoint is not None)
        from ray.rllib.algorithms.algorithm import Algorithm
        algorithm = Algorithm.from_checkpoint(results[0].checkpoint)
        print(algorithm.get_module().network.architecture.hidden)
        algorithm.stop()
    """
    assert fresh(script, cwd=tmp_path).splitlines()[-3:] == ["0.01 True", "0.001 True", "8"]
