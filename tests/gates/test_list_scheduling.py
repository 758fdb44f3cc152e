"""Schedules built gate by gate: valid, tight, and as short as their direction allows."""

from __future__ import annotations

import pytest
from cases import examples
from gate_oracle import circuits
from gate_problems import problem_of, problems, with_cnot_rule, workshop
from hypothesis import given
from hypothesis import strategies as st

from qexp.errors import InputError
from qexp.gates.gate import Gate
from qexp.gates.machine import MachineProperties
from qexp.gates.rulebook import CommutationRulebook
from qexp.gates.schedule import forward_starts, makespan, violations
from qexp.gates.schedulers.list_scheduling import alap, asap, critical_path, randomised_critical_path

ALL = [asap, alap, critical_path, randomised_critical_path]
BACKWARDS = [alap, critical_path, randomised_critical_path]


@examples(150)
@given(problems())
def test_every_schedule_is_one_the_machine_can_run(problem):
    for schedule in ALL:
        starts = schedule(problem)
        assert violations(problem, starts) == []
        assert min(starts, default=0) == 0
        assert makespan(problem, starts) >= max(problem.tails, default=0)
        assert schedule(problem) == starts


@examples(100)
@given(problems(st.sampled_from([CommutationRulebook(), with_cnot_rule()])))
def test_no_gate_could_start_sooner_with_asap_nor_later_with_the_others(problem):
    for schedule, step in [(asap, 1), (alap, -1), (critical_path, -1)]:
        starts = schedule(problem)
        last = makespan(problem, starts)
        for gate, start in enumerate(starts):
            moved = [*starts[:gate], start + step, *starts[gate + 1 :]]
            if 0 <= moved[gate] <= last - problem.cycles[gate]:
                assert violations(problem, moved) != []


@examples(100)
@given(st.data(), st.integers(1, 4))
def test_without_restrictions_all_take_as_long_as_the_busiest_chain(data, n_qubits):
    machine = MachineProperties(n_qubits).add_gates({"x": 2, "y": 3, "cnot": 4, "measure": 10})
    problem = problem_of(data.draw(circuits(n_qubits)), machine)
    # Qubit by qubit, in the order of the circuit: with the default rules there is no other.
    free = [0] * n_qubits
    for p, one, other in zip(problem.cycles, problem.q1, problem.q2, strict=True):
        free[one] = free[other] = max(free[one], free[other]) + p
    assert [makespan(problem, schedule(problem)) for schedule in ALL] == [max(free)] * len(ALL)


def test_measurements_that_must_start_together_show_which_end_a_scheduler_began_at():
    """Never waiting, a scheduler starts a measurement at once and has missed the other one by two cycles."""
    one, other, x = Gate("measure", 0, 0), Gate("measure", 1, 1), Gate("x", 1, 1)
    problem = problem_of([one, other, x])
    assert [makespan(problem, schedule(problem)) for schedule in BACKWARDS] == [20, 20, 20]
    assert forward_starts(problem, asap(problem)) == [0, 0, 10]

    mirrored = problem_of([x, other, one])
    assert makespan(mirrored, asap(mirrored)) == 20
    assert [makespan(mirrored, schedule(mirrored)) for schedule in BACKWARDS] == [12, 12, 12]


def test_the_longest_chain_goes_first():
    # From behind, all three cnots are free to start, and one of them has a measurement before it.
    circuit = [Gate("measure", 1, 1), Gate("cnot", 0, 1), Gate("cnot", 0, 2), Gate("cnot", 0, 3)]
    problem = problem_of(circuit, "ten_qubit", with_cnot_rule())
    assert critical_path(problem) == [6, 0, 12, 6]
    assert makespan(problem, critical_path(problem)) == 18
    assert makespan(problem, alap(problem)) == 28


def test_repeating_with_chance_is_never_worse_and_mostly_better():
    better = 0
    for seed in range(10):
        problem = workshop(60, seed)
        once, often = critical_path(problem), randomised_critical_path(problem, restarts=30, seed=seed)
        assert randomised_critical_path(problem, restarts=1, seed=seed) == once
        assert randomised_critical_path(problem, restarts=30, spread=0.0, seed=seed) == once
        assert randomised_critical_path(problem, restarts=30, seed=seed) == often
        better += makespan(problem, often) < makespan(problem, once)
        assert makespan(problem, often) <= makespan(problem, once)
    assert better >= 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"restarts": 0}, "restarts should be at least 1, but was 0"),
        ({"spread": -0.1}, "spread should be at least 0 and finite, but was -0.1"),
        ({"spread": float("nan")}, "spread should be at least 0 and finite, but was nan"),
    ],
)
def test_bad_arguments_are_refused(arguments, text):
    with pytest.raises(InputError, match=f"^{text}$"):
        randomised_critical_path(problem_of([Gate("x", 0, 0)]), **arguments)
