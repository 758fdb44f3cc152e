"""Many circuits stepped at once: valid schedules, rewards that add up, and state that goes on."""

from __future__ import annotations

import numpy as np
import pytest
from cases import examples
from gate_problems import problem_of, problems, with_cnot_rule, workshop
from hypothesis import given
from hypothesis import strategies as st

from qexp.errors import InputError
from qexp.gates.batched import BatchedDispatch
from qexp.gates.features import GATE_FEATURES, LIMIT, gate_decisions
from qexp.gates.schedule import makespan, violations
from qexp.gates.vector_env import GateVectorEnv


def make_env(num_envs=5, gates=30, candidates=8, **settings):
    def draw(rng, count):
        return [workshop(gates, int(rng.integers(2**31)), "starmon5") for _ in range(count)]

    machine = problem_of([], "starmon5").machine
    return GateVectorEnv(machine, draw, num_envs, max_gates=gates, candidates=candidates, **settings)


def allowed(observation, rng):
    """A random allowed action for each row; anything for rows that are over."""
    return (observation["action_mask"] * rng.random(observation["action_mask"].shape)).argmax(axis=1)


def test_episodes_end_in_schedules_that_the_machine_can_run_and_rewards_add_up():
    env, rng = make_env(), np.random.default_rng(0)
    observation, _ = env.reset(seed=1)
    begun = []
    begin = env.dispatch.begin
    env.dispatch.begin = lambda rows, problems: (
        begun.append(dict(zip(rows, problems, strict=True))),
        begin(rows, problems),
    )
    observation, _ = env.reset(seed=1)
    current = dict.fromkeys(range(5))
    for batch in begun:
        current |= batch
    returns, first, over, episodes = np.zeros(5), env._shown.bound.copy(), np.zeros(5, bool), 0
    while episodes < 40:
        begun.clear()
        assert env.observation_space.contains(observation)
        assert (observation["action_mask"] <= observation["present"]).all()
        observation, reward, terminated, truncated, infos = env.step(allowed(observation, rng))
        assert not truncated.any()
        assert (reward[over] == 0).all()
        returns[over] = 0
        for batch in begun:
            current |= {row: problem for row, problem in batch.items() if over[row]}
        first[over] = env._shown.bound[over]
        returns += reward
        for row in np.flatnonzero(terminated):
            episodes += 1
            problem, starts = current[row], env.dispatch.backward_starts(row)
            assert violations(problem, starts) == []
            assert infos["makespan"][row] == makespan(problem, starts) >= first[row]
            assert infos["stretch"][row] == infos["makespan"][row] / first[row]
            unit = np.mean(problem.cycles)
            assert returns[row] == pytest.approx((first[row] - infos["makespan"][row]) / unit)
        assert (infos.get("_makespan", False) == terminated).all()
        over = terminated


def test_a_seed_decides_the_circuits_and_a_state_goes_on_to_the_bit():
    one, other = make_env(), make_env()
    first, again = one.reset(seed=3)[0], other.reset(seed=3)[0]
    assert all((first[key] == again[key]).all() for key in first)
    rng = np.random.default_rng(0)
    observation = first
    for _ in range(30):
        observation, *_ = one.step(allowed(observation, rng))
    third = make_env()
    third.reset(seed=9)
    third.set_state(one.get_state())
    for _ in range(60):
        actions = allowed(observation, rng)
        observation, *rest = one.step(actions)
        same, *also = third.step(actions)
        assert all((observation[key] == same[key]).all() for key in observation)
        assert all((a == b).all() for a, b in zip(rest[:3], also[:3], strict=True))


def test_long_episodes_are_cut_off():
    env, rng = make_env(max_steps=3), np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    over, steps, cut = np.zeros(5, bool), np.zeros(5), 0
    for _ in range(20):
        observation, _, terminated, truncated, _ = env.step(allowed(observation, rng))
        steps = np.where(over, 0, steps + 1)
        over = terminated | truncated
        assert (truncated == ((steps == 3) & ~terminated)).all()
        cut += truncated.sum()
    assert cut > 5


def test_what_may_not_be_chosen_is_refused():
    env = make_env()
    observation, _ = env.reset(seed=0)
    with pytest.raises(ValueError, match="mask"):
        env.step((1 - observation["action_mask"]).argmax(axis=1))


def test_circuits_that_leave_nothing_to_decide_are_no_endless_loop():
    problem = problem_of([("x", 0, 0)])
    env = GateVectorEnv(problem.machine, lambda _, n: [problem] * n, 2, max_gates=1, candidates=1)
    with pytest.raises(InputError, match="need no decision"):
        env.reset(seed=0)


@examples(60)
@given(problems(st.just(with_cnot_rule()), max_size=9), st.integers(1, 12), st.randoms(use_true_random=False))
def test_features_are_finite_and_do_not_depend_on_padding(problem, spare, random):
    """The same schedule in a wider array with other circuits beside it, and in rows to spare."""
    alone = BatchedDispatch(problem.machine, 1, len(problem))
    beside = BatchedDispatch(problem.machine, 3, len(problem) + spare)
    alone.begin(np.array([0]), [problem])
    beside.begin(np.array([0, 1, 2]), [problem] * 3)
    while not alone.done[0]:
        shown = gate_decisions(alone)
        rows = shown.mask.shape[1] - 1
        wide = gate_decisions(beside, rows + spare)
        assert np.isfinite(shown.nodes).all()
        assert np.abs(shown.nodes).max() <= LIMIT
        assert np.abs(shown.context).max() <= LIMIT
        assert shown.present.all()
        assert (wide.nodes[1, :rows] == shown.nodes[0, :-1]).all()
        assert (wide.nodes[1, -1] == shown.nodes[0, -1]).all()
        assert (wide.context[1] == shown.context[0]).all()
        assert not wide.present[1, rows:-1].any()
        assert (wide.nodes[1, rows:-1] == 0).all()
        assert (shown.nodes[0, :, GATE_FEATURES.index("may")] == shown.mask[0]).all()
        choice = random.choice(np.flatnonzero(shown.mask[0]).tolist())
        for state in (alone, beside):
            every = np.arange(len(state.cycle))
            if choice == rows:
                state.wait(every)
            else:
                state.place(every, np.full(len(every), shown.gates[0, choice]))
            state.settle(every)


def test_of_more_candidates_than_rows_those_that_may_start_are_shown():
    machine = "ten_qubit"
    circuit = [("cnot", q, q + 1) for q in range(0, 10, 2)] + [("x", q, q) for q in range(10)]
    problem = problem_of([*circuit, ("y", 3, 3), ("y", 0, 0)], machine)
    state = BatchedDispatch(problem.machine, 1, len(problem))
    state.begin(np.array([0]), [problem])
    everything, some = gate_decisions(state), gate_decisions(state, 3)
    assert everything.mask[0, :-1].sum() > 3
    assert some.mask[0, :-1].all()
    assert some.gates[0].tolist() == everything.gates[0, :3].tolist()
