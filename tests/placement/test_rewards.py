"""What a learner is paid: golden values, and that the default reward is the reported metric."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from qexp.config.composition import register
from qexp.config.option import REGISTRY
from qexp.placement.env import PlacementEnv
from qexp.placement.reward.completion import Completion
from qexp.placement.reward.inverse import Inverse
from qexp.placement.reward.reward import Outcome
from qexp.placement.reward.weighted import Weighted
from qexp.problem.scheduler import schedulers_of
from qexp.stages.evaluation import evaluate

register()
HEURISTICS = sorted(schedulers_of("placement"))
EPISODES, SEED = 3, 17

# Placed after 2 refusals of 1 s: 6 s of wait, 4 s of service. Refused. Placed at once for 4 s.
OUTCOME = Outcome(
    refused=np.array([False, True, False]),
    elapsed=np.array([10.0, 1.0, 4.0]),
    completion=np.array([12.0, 1.0, 4.0]),
    esp=np.array([0.5, 0.0, 0.25]),
)


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (Completion(), [-1 / 3, -1 / 30, -2 / 15]),
        (Completion(scale=2.0), [-5.0, -0.5, -2.0]),
        (Inverse(), [1 / 12, -10.0, 0.25]),
        (Inverse(refusal=-1.5), [1 / 12, -1.5, 0.25]),
        (Weighted(), [(-1 / 3 + 0.5) / 2, -1 / 60, (-2 / 15 + 0.25) / 2]),
        (Weighted(fidelity_weight=0.25, scale=10.0), [-0.75 + 0.125, -0.075, -0.3 + 0.0625]),
        (Weighted(fidelity_weight=0.0), [-1 / 3, -1 / 30, -2 / 15]),
        (Weighted(fidelity_weight=1.0), [0.5, 0.0, 0.25]),
    ],
)
def test_golden_values(reward, expected):
    assert reward.of(OUTCOME) == pytest.approx(expected)
    # One decision is paid like one of a batch.
    for b, value in enumerate(expected):
        one = Outcome(*(np.asarray(getattr(OUTCOME, name)[b]) for name in Outcome.__slots__))
        assert float(reward.of(one)) == pytest.approx(value)


def test_the_esp_of_a_refused_task_is_not_paid():
    refused = Outcome(np.array(True), np.array(1.0), np.array(1.0), np.array(0.9))
    assert Weighted(fidelity_weight=1.0).of(refused) == 0.0


def test_a_task_of_no_length_is_paid_a_finite_reward():
    outcome = Outcome(np.array(False), np.array(0.0), np.array(0.0), np.array(1.0))
    assert Inverse().of(outcome) == 1000.0


@pytest.fixture(scope="module", params=[True, False], ids=["mask", "no mask"])
def compared(request, qce25):
    """Metric and undiscounted return of each heuristic, over the same episodes."""
    scenario = replace(qce25, tasks=15, mask=request.param)
    schedulers = {name: REGISTRY["scheduler"][name]() for name in HEURISTICS}
    totals = evaluate(scenario, schedulers, episodes=EPISODES, seed=SEED).episodes
    metric = {name: rows["total_completion_time"].to_numpy() for name, rows in totals.groupby("scheduler")}
    return scenario, schedulers, metric


def returns(scenario, schedulers):
    """Play each scheduler through the environment, seeing what a scheduler sees; sum its rewards."""
    env = PlacementEnv(scenario)
    sums = {}
    for name, scheduler in schedulers.items():
        of_episodes = []
        for k in range(EPISODES):
            episode = scenario.episode(SEED, k)
            env.reset(options={"episode": episode})
            cloud = env._cloud
            scheduler.start(episode, evaluation_rng(name, k))
            total, over = 0.0, False
            while not over:
                action = scheduler.select(cloud.task_state(), cloud.node_state())
                _, reward, terminated, truncated, info = env.step(action)
                total += reward
                over = terminated or truncated
            of_episodes.append((total, info["total_completion_time"]))
        sums[name] = np.array(of_episodes).T
    return sums


def evaluation_rng(name, k):
    return np.random.default_rng([SEED, k, zlib.crc32(name.encode())])


@pytest.mark.parametrize("scale", [30.0, 1.0])
def test_the_default_reward_sums_to_minus_the_metric(compared, scale):
    scenario, schedulers, metric = compared
    sums = returns(replace(scenario, reward=Completion(scale=scale)), schedulers)
    assert len(sums) == 10
    for name, (paid, reported) in sums.items():
        assert paid == pytest.approx(-metric[name] / scale, rel=1e-9), name
        assert reported == pytest.approx(metric[name], rel=1e-9), name
    by_reward = sorted(sums, key=lambda name: -sums[name][0].sum())
    by_metric = sorted(metric, key=lambda name: metric[name].sum())
    assert by_reward == by_metric


def test_the_inverse_reward_ranks_otherwise(compared):
    """Why it is not the default."""
    scenario, schedulers, metric = compared
    sums = returns(replace(scenario, reward=Inverse()), schedulers)
    by_reward = sorted(sums, key=lambda name: -sums[name][0].sum())
    by_metric = sorted(metric, key=lambda name: metric[name].sum())
    assert by_reward != by_metric
