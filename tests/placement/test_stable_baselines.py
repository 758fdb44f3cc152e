"""Other people's algorithms learn on our environments as they are, and masks mean what they say."""

from __future__ import annotations

import copy
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from cases import quick_first
from gymnasium.spaces.utils import flatten, flatten_space

import qexp.env
from qexp.env.gate_scheduling import GateSchedulingEnv
from qexp.placement.env import PlacementEnv

ENVIRONMENTS = {
    "placement": lambda: gym.make(qexp.env.PLACEMENT_ID),
    "gates": lambda: gym.make(qexp.env.QGYM_ID),
    "few gates": lambda: gym.make(
        qexp.env.QGYM_ID, machine="starmon5", max_gates=9, dependency_depth=3, max_steps=40
    ),
}
SETTINGS = {
    "A2C": {"n_steps": 20},
    "DQN": {"learning_starts": 50, "buffer_size": 500},
    "PPO": {"n_steps": 64, "batch_size": 32, "n_epochs": 2},
    "MaskablePPO": {"n_steps": 64, "batch_size": 32, "n_epochs": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("algorithm", SETTINGS)
def test_it_learns(algorithm, environment):
    contrib = pytest.importorskip("sb3_contrib", reason="the bench extra is not installed")
    stable = pytest.importorskip("stable_baselines3", reason="the bench extra is not installed")
    cls = getattr(contrib if algorithm == "MaskablePPO" else stable, algorithm)
    env = ENVIRONMENTS[environment]()
    model = cls("MultiInputPolicy", env, seed=0, device="cpu", **SETTINGS[algorithm])
    before = {name: weight.clone() for name, weight in model.policy.state_dict().items()}
    model.learn(300)
    assert any((before[name] != weight).any() for name, weight in model.policy.state_dict().items())
    observation, _ = env.reset(seed=0)
    masks = {"action_masks": env.get_wrapper_attr("action_masks")()} if algorithm == "MaskablePPO" else {}
    action, _ = model.predict(observation, **masks)
    assert action in env.action_space
    env.step(action)


@pytest.mark.slow
def test_a_masked_learner_is_never_refused():
    contrib = pytest.importorskip("sb3_contrib", reason="the bench extra is not installed")
    for environment in ("placement", "gates"):
        env = Watched(ENVIRONMENTS[environment]())
        contrib.MaskablePPO("MultiInputPolicy", env, seed=0, device="cpu", **SETTINGS["MaskablePPO"]).learn(
            300
        )
        assert env.steps >= 300


class Watched(gym.Wrapper):
    """Fails as soon as a step is not allowed."""

    steps = 0

    def step(self, action):
        assert self.get_wrapper_attr("action_masks")()[action]
        self.steps += 1
        return super().step(action)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_gymnasium_flattens_what_they_show(environment):
    env = ENVIRONMENTS[environment]()
    space = flatten_space(env.observation_space)
    observation, _ = env.reset(seed=0)
    for _ in range(20):
        flat = flatten(env.observation_space, observation)
        assert flat in space
        assert flat.ndim == 1
        observation, *_ = env.step(int(observation["action_mask"].argmax()))


@pytest.mark.slow
@pytest.mark.parametrize("machine", quick_first(["workshop2", "starmon5", "ten_qubit"]))
def test_masks_of_gates_are_exact(machine):
    env, rng = GateSchedulingEnv(machine, max_gates=12), np.random.default_rng(0)
    for seed in range(4):
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            masks = env.action_masks()
            assert (masks.dtype, masks.shape) == (bool, (13,))
            assert masks.any()
            assert np.array_equal(masks, observation["action_mask"])
            for gate in range(12):
                twin = copy.deepcopy(env)
                twin.step(gate)
                assert (twin.dispatch.left < env.dispatch.left) == masks[gate]
            if not masks[12]:  # waiting would change nothing
                assert not env.dispatch.running
            observation, _, over, *_ = env.step(int(rng.choice(np.flatnonzero(masks))))


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("observation", ["dict", "flat"])
def test_masks_of_nodes_are_exact(qce25, mask, observation):
    env = PlacementEnv(replace(qce25, mask=mask, observation=observation))
    with pytest.raises(gym.error.ResetNeeded):
        env.action_masks()
    env.reset(seed=1)
    for _ in range(25):
        masks = env.action_masks()
        assert (masks.dtype, masks.shape) == (bool, (5,))
        fits = []
        for node in range(5):
            twin = copy.deepcopy(env)
            twin.step(node)
            fits.append(not any(task.reschedules for task in twin._cloud.tasks))
        assert masks.tolist() == (fits if mask else [True] * 5)
        kept = masks.copy()
        masks[:] = False  # the caller's to keep
        assert np.array_equal(env.action_masks(), kept)
        env.step(fits.index(True))
