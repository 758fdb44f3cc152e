"""Step by step the same as a second, slow implementation; every schedule found is one the machine can run."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from cases import examples
from gate_oracle import Oracle, circuits, machines, rulebooks
from hypothesis import given
from hypothesis import strategies as st

from qexp.env.gate_scheduling import (
    BasicRewarder,
    CommutationRulebook,
    EpisodeRewarder,
    Gate,
    GateSchedulingEnv,
    MachineProperties,
    MakespanRewarder,
    NullCircuitGenerator,
    Rewarder,
    Scheduling,
)
from qexp.gates.circuit import checked_circuit
from qexp.gates.engine import Dispatch
from qexp.gates.problem import Problem
from qexp.gates.schedule import forward_starts, makespan, violations
from qexp.gates.tables import MachineTables

MAX_GATES = 12


def as_lists(record):
    return {key: np.asarray(value).tolist() for key, value in record.items()}


class Copied(Rewarder):
    """A rewarder of a user's own, which sees both states in full."""

    def compute_reward(self, *, old_state, action, new_state):
        placed = (new_state.circuit_info.schedule >= 0).sum() - (old_state.circuit_info.schedule >= 0).sum()
        illegal = not action[1] and not old_state.circuit_info.legal[action[0]]
        return float(placed - 2 * illegal + 100 * (new_state.cycle - old_state.cycle))


@examples(150)
@given(st.data())
def test_every_step_is_that_of_the_oracle(data):
    machine = data.draw(machines())
    circuit = data.draw(circuits(machine.n_qubits))
    rulebook = data.draw(rulebooks())
    depth = data.draw(st.integers(1, 3))
    env = Scheduling(
        machine,
        max_gates=MAX_GATES,
        dependency_depth=depth,
        circuit_generator=NullCircuitGenerator(),
        rulebook=rulebook,
    )
    rewarders = [BasicRewarder(-3, -1, 0.5), EpisodeRewarder(-3, -2), MakespanRewarder(), Copied()]
    observation, info = env.reset(options={"circuit": circuit})
    oracle = Oracle(machine, circuit, rulebook._rules, MAX_GATES, depth)
    assert as_lists(observation) == oracle.observation()
    assert as_lists(info) == oracle.info()
    for _ in range(data.draw(st.integers(0, 60))):
        legal = np.flatnonzero(observation["legal_actions"]).tolist()
        wait = data.draw(st.integers(0, 3)) == 0
        gates = st.integers(0, MAX_GATES - 1)
        gate = data.draw(st.sampled_from(legal) | gates if legal else gates)
        was_done, placed = oracle.done(), len(oracle.start)
        illegal = oracle.step(gate, wait)
        rewards = [
            -1 if wait else -3 if illegal else 0.5,
            -3 if illegal else -2 * oracle.makespan() if oracle.done() else 0,
            0
            if was_done
            else -5
            if illegal
            else -1
            if wait
            else oracle.cycle - oracle.makespan()
            if oracle.done()
            else 0,
            len(oracle.start) - placed - 2 * illegal + 100 * wait,
        ]
        which = data.draw(st.integers(0, len(rewarders) - 1))
        env.rewarder = rewarders[which]
        observation, reward, terminated, truncated, info = env.step(np.array([gate, int(wait)]))
        assert as_lists(observation) == oracle.observation()
        assert as_lists(info) == oracle.info()
        assert (reward, terminated, truncated) == (rewards[which], oracle.done(), False)
        assert env._state.busy.tolist() == list(oracle.busy.values())
        assert [gate.exclude for gate in env._state.gates.values()] == list(oracle.out.values())


def problem_of(data):
    machine = data.draw(machines())
    circuit = data.draw(circuits(machine.n_qubits))
    tables = MachineTables.of(machine)
    return Problem.of(tables, checked_circuit(circuit, tables), data.draw(rulebooks()))


@examples(200)
@given(st.data(), st.integers(0, 2**32 - 1), st.floats(0, 0.9))
def test_legal_actions_lead_to_valid_schedules(data, seed, laziness):
    problem = problem_of(data)
    rng = np.random.default_rng(seed)
    dispatch = Dispatch(problem)
    while not dispatch.done:
        if dispatch.choices and not (dispatch.running and rng.random() < laziness):
            dispatch.place(int(rng.choice(dispatch.choices)))
        else:
            # The mask of GateSchedulingEnv: without it an episode of legal actions might never end.
            assert dispatch.running
            dispatch.advance()
    starts = dispatch.starts.tolist()
    assert violations(problem, starts) == []
    assert dispatch.makespan == makespan(problem, starts)
    # No schedule is shorter than the longest chain of gates.
    assert dispatch.makespan >= max(problem.tails, default=0)
    forward = forward_starts(problem, starts)
    assert min(forward, default=0) >= 0
    ends = [start + p for start, p in zip(forward, problem.cycles, strict=True)]
    for i, j in combinations(range(len(problem)), 2):
        if problem.blockers[i] >> j & 1 and {problem.q1[i], problem.q2[i]} & {problem.q1[j], problem.q2[j]}:
            assert ends[i] <= forward[j]


@examples(200)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_a_schedule_is_valid_exactly_if_it_can_be_played(data, seed):
    problem = problem_of(data)
    rng = np.random.default_rng(seed)
    dispatch = Dispatch(problem)
    while not dispatch.done:
        dispatch.place(int(rng.choice(dispatch.choices))) if dispatch.choices else dispatch.advance()
    starts = dispatch.starts.copy()
    moved = rng.random(len(starts)) < 0.2
    starts[moved] = np.maximum(starts[moved] + rng.integers(-3, 4, moved.sum()), 0)

    dispatch = Dispatch(problem)
    for cycle in range(int(starts.max(initial=0)) + 1):
        while now := [gate for gate in dispatch.choices if starts[gate] == cycle]:
            dispatch.place(now[0])
        dispatch.advance()
    assert (violations(problem, starts) == []) == dispatch.done


@examples(100)
@given(st.data())
def test_critical_paths_are_the_longest_chains(data):
    problem = problem_of(data)

    def longest(j):
        tails = [problem.cycles[j]]
        for i in range(j):
            if problem.blockers[i] >> j & 1:
                shared = {problem.q1[i], problem.q2[i]} & {problem.q1[j], problem.q2[j]}
                tails.append(longest(i) + (problem.cycles[j] if shared else 0))
        return max(tails)

    assert problem.tails == [longest(j) for j in range(len(problem))]


def test_a_chain_may_pass_gates_that_share_no_qubit():
    """Without default rules y waits for x, on another qubit, and both wait for the cnot before them."""
    tables = MachineTables.of(MachineProperties(2).add_gates({"x": 1, "y": 5, "cnot": 2}))
    circuit = checked_circuit([("cnot", 0, 1), ("x", 0, 0), ("y", 1, 1)], tables)
    problem = Problem.of(tables, circuit, CommutationRulebook(default_rules=False))
    assert problem.tails == [2, 3, 7]


def test_who_keeps_out_longest_counts():
    machine = MachineProperties(3, exclusion="no_overlap").add_gates({"x": 5, "y": 1, "z": 1})
    tables = MachineTables.of(machine.add_not_in_same_cycle([("x", "y"), ("z", "y")]))
    circuit = checked_circuit([("y", 2, 2), ("z", 1, 1), ("x", 0, 0)], tables)
    dispatch = Dispatch(Problem.of(tables, circuit, CommutationRulebook()))
    dispatch.place(2)
    dispatch.advance()
    dispatch.place(1)
    waited = dispatch.cycle
    while not dispatch.choices:
        dispatch.advance()
        waited += 1
    assert (dispatch.choices, waited) == ([0], 5)


@examples(60)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_a_copy_goes_its_own_way(data, seed):
    problem = problem_of(data)
    rng = np.random.default_rng(seed)
    one = Dispatch(problem, depth=2)
    for _ in range(int(rng.integers(0, 6))):
        if one.choices:
            one.place(one.choices[0])
        one.advance()
    other, before = one.copy(), (one.starts.tolist(), one.legal.tolist(), one.offsets.tolist(), one.cycle)
    while not other.done:
        other.place(other.choices[0]) if other.choices else other.advance()
    assert (one.starts.tolist(), one.legal.tolist(), one.offsets.tolist(), one.cycle) == before
    while not one.done:
        one.place(one.choices[0]) if one.choices else one.advance()
    assert one.starts.tolist() == other.starts.tolist()


@examples(60)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_the_flat_environment_plays_the_same_game(data, seed):
    machine = data.draw(machines())
    circuit = data.draw(circuits(machine.n_qubits))
    rulebook = data.draw(rulebooks())
    env = GateSchedulingEnv(
        machine, max_gates=MAX_GATES, circuit_generator=NullCircuitGenerator(), rulebook=rulebook
    )
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(options={"circuit": circuit})
    oracle = Oracle(machine, circuit, rulebook._rules, MAX_GATES, 1)
    total, terminated = 0.0, False
    while not terminated:
        assert observation in env.observation_space
        plain = oracle.observation()
        assert observation["action_mask"][:-1].tolist() == plain["legal_actions"]
        assert observation["dependencies"].ravel().tolist() == plain["dependencies"]
        assert observation["qubit_busy"].tolist() == list(oracle.busy.values())
        assert observation["kept_out"].tolist() == list(oracle.out.values())
        assert np.array_equal(env.action_masks(), observation["action_mask"])
        action = int(rng.choice(np.flatnonzero(observation["action_mask"])))
        oracle.step(action % MAX_GATES, action == MAX_GATES)
        observation, reward, terminated, truncated, info = env.step(action)
        assert terminated == oracle.done()
        assert not truncated
        assert info["makespan"] == oracle.makespan()
        assert info["schedule"].shape == (MAX_GATES,)
        total += reward
    assert total == -oracle.makespan()
    if circuit:
        assert observation["critical_path"].sum() == 0
        assert observation["placed"].sum() == len(circuit)
        assert observation["action_mask"].nonzero()[0].tolist() == [MAX_GATES]


def test_waiting_can_pay():
    """What no list scheduler finds: two measurements that must start together, one behind a short gate."""
    env = GateSchedulingEnv("workshop2", max_gates=5, circuit_generator=NullCircuitGenerator())
    circuit = [Gate("measure", 0, 0), Gate("measure", 1, 1), Gate("x", 1, 1)]

    def play(*actions):
        env.reset(options={"circuit": circuit})
        for action in actions:
            _, _, terminated, _, info = env.step(action)
        assert terminated
        assert violations(env._state.dispatch.problem, env._state.dispatch.starts) == []
        return info["makespan"]

    wait = 5
    assert play(2, 0, *[wait] * 10, 1) == 20
    assert play(2, wait, wait, 0, 1) == 12
    assert env.forward_schedule() == [0, 0, 10]
    env.reset(options={"circuit": circuit})
    with pytest.raises(ValueError, match="gate 0 is not scheduled"):
        env.forward_schedule()
