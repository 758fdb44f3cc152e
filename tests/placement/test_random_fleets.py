"""Episodes on random fleets: drawn like synthetic ones, and each the same as on that fleet alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from cases import quick_first
from hypothesis import given
from hypothesis import strategies as st

from qexp.errors import InputError
from qexp.fleet.fleet import load_fleet
from qexp.placement.placement import Placement
from qexp.placement.random_fleets import RandomFleetVectorEnv, random_fleets
from qexp.placement.reward.weighted import Weighted
from qexp.placement.schedulers.mct import MCT
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.stages.evaluation import evaluate

B = 40


@pytest.fixture(scope="module")
def fleets(qce25):
    return random_fleets(qce25, 0, 60)


def test_they_are_of_many_sizes_and_every_circuit_fits_the_first_machine_of_each(qce25, fleets):
    assert {len(scenario.fleet) for scenario in fleets} == set(range(3, 11))
    assert all(np.isfinite(scenario.service[:, 0]).all() for scenario in fleets)
    kinds = {node.machine for scenario in fleets for node in scenario.fleet.nodes}
    assert kinds == set(qce25.fleet.names)
    assert len({tuple(scenario.fleet.qubits) for scenario in fleets}) > 50
    # No table of another making: service times follow from the machines' CLOPS.
    for scenario in fleets[:5]:
        fits = scenario.circuits.feasible
        expected = 1024 * scenario.circuits.compiled_depth / (scenario.fleet.clops * 19.95)
        assert scenario.service[fits] == pytest.approx(expected[fits])
        assert np.isinf(scenario.service[~fits]).all()


@pytest.mark.slow
@given(seed=st.integers(0, 2**32))
def test_a_seed_gives_the_same_fleets_again_and_more_of_them_begin_with_these(qce25, seed):
    def hashes(seed, count):
        return [scenario.fleet.hash for scenario in random_fleets(qce25, seed, count)]

    assert hashes(seed, 3)[:2] == hashes(seed, 2)
    assert not set(hashes(seed, 2)) & set(hashes(seed + 1, 2))


def test_they_keep_the_problem_and_take_after_its_fleet():
    scenario = Placement(load_fleet("heron"), tasks=7, mask=False, held_out=3)
    drawn = random_fleets(scenario, 1, 20)
    assert {len(each.fleet) for each in drawn} <= set(range(3, 13))
    assert all((each.tasks, each.mask, each.held_out) == (7, False, 3) for each in drawn)
    assert {node.machine for each in drawn for node in each.fleet.nodes} <= set(scenario.fleet.names)


CHANGES = {
    "default": {},
    "no mask": {"mask": False, "rescheduling_delay": 0.3},
    "backlog": {"initial_backlog": 20.0},
    "weighted": {"mask": False, "reward": Weighted(fidelity_weight=0.3)},
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", quick_first(CHANGES.values(), 2), ids=CHANGES.keys())
def test_each_episode_is_to_the_last_bit_as_on_its_fleet_alone(qce25, fleets, changes):
    """`test_placement_vector` holds those to the single environment; a seed gives both the same tasks."""
    scenario = replace(qce25, tasks=8, **changes)
    chosen = [replace(each, tasks=8, **changes) for each in fleets]
    env = PlacementVectorEnv(scenario, B, chosen)
    seen, _ = env.reset(seed=3)
    assert seen in env.observation_space
    sizes = seen["present"].sum(axis=1)
    assert len(set(sizes)) > 4
    rng = np.random.default_rng(3)
    scenario.draw(rng, B)
    of = rng.integers(len(chosen), size=B)
    assert sizes.tolist() == [len(chosen[f].fleet) for f in of]
    alone = {f: PlacementVectorEnv(chosen[f], B) for f in set(of)}
    known = {f: each.reset(seed=3)[0] for f, each in alone.items()}
    choose, steps = np.random.default_rng(0), 0
    over = np.zeros(B, dtype=bool)
    while not over.all():
        for b, (f, size) in enumerate(zip(of, sizes, strict=True)):
            if over[b]:
                continue
            steps += 1
            for key in ("nodes", "action_mask"):
                assert np.array_equal(seen[key][b, :size], known[f][key][b]), key
                assert not seen[key][b, size:].any()
            assert np.array_equal(seen["task"][b], known[f]["task"][b])
            assert seen["present"][b].tolist() == [1] * size + [0] * (10 - size)
        actions = np.array([choose.choice(np.flatnonzero(mask)) for mask in seen["action_mask"]])
        seen, rewards, terminated, truncated, infos = env.step(actions)
        for f, each in alone.items():
            known[f], paid, ended, cut, told = each.step(actions % len(chosen[f].fleet))
            mine = (of == f) & ~over
            assert np.array_equal(rewards[mine], paid[mine])
            assert np.array_equal(terminated[mine], ended[mine])
            assert np.array_equal(truncated[mine], cut[mine])
            for key in infos:
                done = mine & infos["_reschedules"]
                assert key in told or not done.any()
                assert not done.any() or np.array_equal(infos[key][done], told[key][done])
        over |= terminated | truncated
    assert steps >= 8 * B


def test_the_next_episode_is_on_another_fleet(qce25, fleets):
    env = PlacementVectorEnv(replace(qce25, tasks=1), B, fleets)
    first = env.reset(seed=0)[0]["present"]
    seen, *_ = env.step(np.zeros(B, dtype=np.int64))
    assert np.array_equal(seen["present"], first)  # the last observation is the ended episode's
    seen, *_ = env.step(np.zeros(B, dtype=np.int64))
    assert (seen["present"] != first).any(axis=1).mean() > 0.5


@pytest.mark.slow
def test_rewards_are_scaled_by_what_mct_earns_on_each_fleet(qce25, fleets):
    env, plain = RandomFleetVectorEnv(qce25, B, 0, 60), PlacementVectorEnv(qce25, B, fleets)

    def of_mct(scenario):
        measured = evaluate(scenario, {"mct": MCT()}, episodes=20, seed=0).episodes
        return measured["total_completion_time"].mean()

    expected = [of_mct(qce25) / of_mct(each) for each in fleets[:8]]
    assert max(expected) > 2 * min(expected)
    assert env.reward_scales[:8] == pytest.approx(expected, rel=0.5)  # other episodes, as few
    scales, steps = env.reward_scales, []
    seen, _ = env.reset(seed=3)
    assert np.array_equal(seen["nodes"], plain.reset(seed=3)[0]["nodes"])
    rng = np.random.default_rng(3)
    for _ in range(2):  # two episodes one after the other, and the resets between them
        qce25.draw(rng, B)
        of = rng.integers(60, size=B)
        for _ in range(26):
            actions = seen["action_mask"].argmax(axis=1)
            seen, rewards, *_ = env.step(actions)
            _, paid, *_ = plain.step(actions)
            assert np.array_equal(rewards, paid * scales[of])
            steps.append(rewards)
    assert (np.array(steps) < 0).sum() == 2 * 25 * B


@pytest.mark.slow
@pytest.mark.parametrize("mask", quick_first([True, False]))
def test_it_goes_on_from_a_state(qce25, mask):
    source, target = (RandomFleetVectorEnv(replace(qce25, mask=mask), B, 0, 30) for _ in range(2))
    rng = np.random.default_rng(0)
    seen, _ = source.reset(seed=1)
    target.reset(seed=2)
    for step in range(80):
        if step == 40:
            target.set_state(source.get_state())
        actions = np.array([rng.choice(np.flatnonzero(allowed)) for allowed in seen["action_mask"]])
        one, other = source.step(actions), target.step(actions)
        seen = one[0]
        for expected, found in zip(one, other, strict=True) if step >= 40 else ():
            np.testing.assert_equal(found, expected)


def test_a_flat_observation_has_no_place_for_padding(qce25, fleets):
    with pytest.raises(InputError, match=r"^env\.observation=flat: "):
        PlacementVectorEnv(replace(qce25, observation="flat"), 1, fleets)


def test_a_fleet_without_logarithms_cannot_be_imitated(tmp_path):
    content = {
        "format": "qexp-fleet/1",
        "name": "slip",
        "nodes": [node.model_dump() for node in load_fleet("qce5").nodes],
    }
    content["nodes"][2]["calibration"]["readout_error"] = -0.01
    (tmp_path / "slip.json").write_text(json.dumps(content))
    scenario = Placement(load_fleet(tmp_path / "slip.json"))
    with pytest.raises(InputError, match=r"^backend: cannot imitate 'hanoi': its readout_error is -0.01"):
        random_fleets(scenario, 0)
