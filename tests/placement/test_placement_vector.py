"""The vectorised environment: the same episodes as one at a time, under Gymnasium's NEXT_STEP autoreset."""

from __future__ import annotations

import copy
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import qexp.env
from qexp.placement.env import PlacementEnv
from qexp.placement.placement import Placement
from qexp.placement.reward.inverse import Inverse
from qexp.placement.reward.weighted import Weighted
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.placement.workload.csv_file import CSV

B = 5


def actions_of(rng, observation, nodes, *, masked=True):
    """Choose at random, among the allowed nodes."""
    allowed = observation["action_mask"] if masked else np.ones((B, nodes), np.int8)
    return np.array([rng.choice(np.flatnonzero(row)) for row in allowed])


def part(observation, b):
    return (
        observation[b] if isinstance(observation, np.ndarray) else {k: v[b] for k, v in observation.items()}
    )


def assert_same(one, other):
    if isinstance(one, np.ndarray):
        one, other = {"flat": one}, {"flat": other}
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].dtype == other[key].dtype
        assert np.array_equal(one[key], other[key]), key


def episodes_drawn(scenario, seed, rounds):
    """Return the episodes an environment of B plays: all B of a round drawn at once, round after round."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        batch = scenario.draw(rng, B)
        yield [
            scenario.assemble(rows[np.isfinite(arrival)], arrival[np.isfinite(arrival)])
            for rows, arrival in zip(batch.rows, batch.arrival, strict=True)
        ]


SCENARIOS = {
    "default": {},
    "no mask": {"mask": False, "rescheduling_delay": 0.3},
    "backlog": {"initial_backlog": 20.0},
    "flat": {"observation": "flat"},
    "inverse": {"mask": False, "reward": Inverse(refusal=-3.0)},
    "weighted": {"mask": False, "reward": Weighted(fidelity_weight=0.3)},
}


@pytest.mark.parametrize("changes", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_plays_the_episodes_of_the_single_environment(qce25, changes):
    scenario = replace(qce25, tasks=8, **changes)
    env, singles = PlacementVectorEnv(scenario, B), [PlacementEnv(scenario) for _ in range(B)]
    choose = np.random.default_rng(0)
    [episodes] = episodes_drawn(scenario, 11, 1)
    observation, _ = env.reset(seed=11)
    for b, single in enumerate(singles):
        assert_same(part(observation, b), single.reset(options={"episode": episodes[b]})[0])
    over, ended = np.zeros(B, dtype=bool), 0
    while not over.all():
        if scenario.mask and scenario.observation == "dict":
            actions = actions_of(choose, observation, 5)
        else:
            actions = choose.integers(5, size=B)
        observation, rewards, terminated, truncated, infos = env.step(actions)
        for b in np.flatnonzero(~over):
            seen, reward, terminal, cut, info = singles[b].step(actions[b])
            assert_same(part(observation, b), seen)
            assert (rewards[b], terminated[b], truncated[b]) == (reward, terminal, cut)
            if terminal or cut:
                ended += 1
                for key, value in info.items():
                    assert infos[f"_{key}"][b]
                    assert infos[key][b] == pytest.approx(value, rel=1e-12)
            elif infos:
                assert not infos["_total_completion_time"][b]
        # From here on this place plays its next episode.
        over |= terminated | truncated
    assert ended == B


def test_the_step_after_the_last_resets_and_ignores_its_action(qce25):
    scenario = replace(qce25, tasks=3)
    assert PlacementVectorEnv.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    first, second = episodes_drawn(scenario, 4, 2)
    for ignored in (0, 4):
        env = PlacementVectorEnv(scenario, B)
        env.reset(seed=4)
        for step in range(3):
            observation, rewards, terminated, truncated, infos = env.step(np.zeros(B, dtype=np.int64))
            assert (rewards < 0).all()
            assert (terminated == (step == 2)).all()
            assert not truncated.any()
        assert infos["_total_completion_time"].all()
        # The last observation is the ended episode's.
        assert observation["task"].shape == (B, 10)
        observation, rewards, terminated, truncated, infos = env.step(np.full(B, ignored))
        assert (rewards == 0).all()
        assert not terminated.any()
        assert not truncated.any()
        assert infos == {}
        single = PlacementEnv(scenario)
        for b in range(B):
            assert_same(part(observation, b), single.reset(options={"episode": second[b]})[0])
            assert len(first[b]) == len(second[b]) == 3


def test_places_that_end_at_different_times_do_not_disturb_each_other(qce25):
    # One place always asks for a node that may refuse, the others never do.
    scenario = replace(qce25, tasks=4, mask=False, max_refusals=2)
    env = PlacementVectorEnv(scenario, B)
    env.reset(seed=0)
    over = np.zeros(B, dtype=bool)
    seen = {"truncated": 0, "terminated": 0}
    resets = np.zeros(B, dtype=int)
    for _ in range(60):
        actions = np.zeros(B, dtype=np.int64)
        actions[0] = 3
        _, rewards, terminated, truncated, infos = env.step(actions)
        assert ((rewards == 0) == over).all()
        assert not (over & (terminated | truncated)).any()
        resets += over
        over = terminated | truncated
        assert ("reschedules" in infos) == over.any()
        if truncated.any():
            assert np.flatnonzero(truncated).tolist() == [0]
            assert infos["reschedules"][0] >= 2
        seen["truncated"] += truncated.sum()
        seen["terminated"] += terminated.sum()
    assert resets[1:].tolist() == [60 // 5] * (B - 1)
    assert seen["truncated"] > 0
    assert seen["terminated"] >= 4 * 12


def test_infos_report_the_metric_of_the_episodes_that_end(qce25):
    scenario = replace(qce25, tasks=6)
    env = PlacementVectorEnv(scenario, B)
    observation, _ = env.reset(seed=1)
    rng, returns = np.random.default_rng(2), np.zeros(B)
    for _ in range(6):
        observation, rewards, _, _, infos = env.step(actions_of(rng, observation, 5))
        returns += rewards
    assert infos["_total_completion_time"].tolist() == infos["_reschedules"].tolist() == [True] * B
    assert infos["total_completion_time"] == pytest.approx(-30 * returns)
    assert infos["reschedules"].tolist() == [0] * B


def test_the_same_seed_gives_the_same_episodes_and_no_seed_continues(qce25):
    scenario = replace(qce25, tasks=3)

    def record(env, seed):
        seen = [env.reset(seed=seed)[0], env.reset()[0]]
        for _ in range(10):
            observation, rewards, *_ = env.step(np.zeros(B, dtype=np.int64))
            seen += [observation, {"rewards": rewards}]
        return seen

    used = PlacementVectorEnv(scenario, B)
    one, again, other = record(used, 5), record(used, 5), record(PlacementVectorEnv(scenario, B), 6)
    for a, b in zip(one, again, strict=True):
        assert_same(a, b)
    assert not np.array_equal(one[0]["nodes"], one[1]["nodes"])
    assert not np.array_equal(one[0]["nodes"], other[0]["nodes"])


@pytest.mark.parametrize("observation", ["dict", "flat"])
def test_spaces_and_types_are_as_declared(qce25, observation):
    env = PlacementVectorEnv(replace(qce25, observation=observation), B)
    seen, infos = env.reset(seed=0)
    assert infos == {}
    assert seen in env.observation_space
    assert part(seen, 0) in env.single_observation_space
    assert env.action_space.shape == (B,)
    for _ in range(30):
        seen, rewards, terminated, truncated, _ = env.step(np.zeros(B, dtype=np.int64))
        assert seen in env.observation_space
        assert rewards.dtype == np.float64
        assert terminated.dtype == truncated.dtype == bool
        assert rewards.shape == terminated.shape == truncated.shape == (B,)


def test_returned_arrays_are_the_callers_to_keep(qce25):
    env, control = (PlacementVectorEnv(replace(qce25, tasks=3, mask=False), B) for _ in range(2))
    kept = []
    env.reset(seed=0)
    control.reset(seed=0)
    for step in range(12):
        actions = np.full(B, step % 5)
        returned = env.step(actions)
        kept.append((returned, copy.deepcopy(returned)))
        # What the caller does to the arrays does not reach the environment.
        spoiled = control.step(actions.copy())
        for array in (*spoiled[0].values(), *spoiled[1:4], *spoiled[4].values()):
            array[...] = 0
        assert_same(env.step(actions)[0], control.step(actions)[0])
    for returned, copied in kept:
        assert_same(returned[0], copied[0])
        for now, then in zip(returned[1:4], copied[1:4], strict=True):
            assert np.array_equal(now, then)
        for key, value in copied[4].items():
            assert np.array_equal(returned[4][key], value)


def test_subsets_of_different_lengths_end_on_their_own(write_dataset, tmp_path):
    rows = [(0, "ghz", 3, {7: 10, 27: 11})] + [(1, "ghz", w, {7: 10 * w, 27: 11 * w}) for w in (2, 3, 4)]
    data = write_dataset(tmp_path / "tasks.csv", rows)
    fleet = qexp_fleet()
    scenario = Placement(fleet, workload=CSV(path=str(data)))
    env = PlacementVectorEnv(scenario, 40)
    env.reset(seed=0)
    _, rewards, terminated, *_ = env.step(np.zeros(40, dtype=np.int64))
    assert 0 < terminated.sum() < 40
    _, later, *_ = env.step(np.zeros(40, dtype=np.int64))
    assert (rewards < 0).all()
    assert ((later == 0) == terminated).all()


def qexp_fleet():
    from qexp.fleet.fleet import load_fleet

    fleet = load_fleet("qce5")
    return replace(fleet, nodes=tuple(fleet.nodes[i] for i in (1, 3)))


def test_make_vec_builds_it(qce25):
    env = gym.make_vec(qexp.env.PLACEMENT_ID, num_envs=3, vectorization_mode="vector_entry_point")
    assert isinstance(env.unwrapped, PlacementVectorEnv)
    assert env.num_envs == 3
    assert env.unwrapped.scenario.tasks == 25
    scenario = replace(qce25, tasks=2)
    env = gym.make_vec(
        qexp.env.PLACEMENT_ID, num_envs=2, vectorization_mode="vector_entry_point", scenario=scenario
    )
    assert env.unwrapped.scenario is scenario
    observation, _ = env.reset(seed=0)
    assert observation["nodes"].shape == (2, 5, 14)


def test_gymnasiums_own_vectorisation_works_too(qce25):
    env = gym.make_vec(
        qexp.env.PLACEMENT_ID, num_envs=2, vectorization_mode="sync", scenario=replace(qce25, tasks=2)
    )
    observation, _ = env.reset(seed=0)
    assert observation["nodes"].shape == (2, 5, 14)
    env.step(np.zeros(2, dtype=np.int64))
    _, _, terminated, *_ = env.step(np.zeros(2, dtype=np.int64))
    assert terminated.all()


@pytest.mark.parametrize("mask", [True, False])
def test_an_environment_goes_on_from_a_state(qce25, mask):
    scenario = replace(qce25, mask=mask)
    choices = np.random.default_rng(0).integers(len(scenario.fleet), size=(80, 7))
    source, target = PlacementVectorEnv(scenario, 7), PlacementVectorEnv(scenario, 7)
    source.reset(seed=1)
    for actions in choices[:40]:  # refusals are pending, and some episodes are over, when maskless
        source.step(actions)
    state = source.get_state()
    target.reset(seed=2)
    target.set_state(state)
    for actions in choices[40:]:
        one, other = source.step(actions), target.step(actions)
        for expected, found in zip(one, other, strict=True):
            np.testing.assert_equal(found, expected)


def test_a_state_of_another_size_is_refused(qce25):
    source, target = PlacementVectorEnv(qce25, 3), PlacementVectorEnv(qce25, 4)
    source.reset(seed=0)
    target.reset(seed=0)
    with pytest.raises(ValueError, match="another cloud"):
        target.set_state(source.get_state())
