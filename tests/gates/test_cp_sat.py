"""The shortest schedule: against every schedule there is, by hand, and within its time limit."""

from __future__ import annotations

import re
import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from cases import examples
from gate_problems import problem_of, problems, with_cnot_rule, workshop
from hypothesis import given
from hypothesis import strategies as st

from qexp.errors import InputError
from qexp.gates.engine import Dispatch
from qexp.gates.gate import Gate
from qexp.gates.machine import MachineProperties
from qexp.gates.rulebook import CommutationRulebook
from qexp.gates.schedule import forward_starts, makespan, violations
from qexp.gates.schedulers.list_scheduling import alap, asap, critical_path, randomised_critical_path
from qexp.gates.schedulers.optimum import Optimum, optimum

pytest.importorskip("ortools", reason="the exact extra is not installed")

LISTS = [asap, alap, critical_path, randomised_critical_path]


def shortest(problem):
    """Play every schedule there is, waiting included, and return the shortest makespan."""
    best = makespan(problem, critical_path(problem))
    seen = set()

    def play(dispatch):
        nonlocal best
        left = [problem.cycles[gate] for gate, start in enumerate(dispatch.starts) if start < 0]
        if not left:
            best = min(best, dispatch.makespan)
            return
        state = (dispatch.cycle, *dispatch.starts.tolist())
        if state in seen or max(dispatch.makespan, dispatch.cycle + max(left)) >= best:
            return
        seen.add(state)
        for gate in dispatch.choices:
            placed = dispatch.copy()
            placed.place(gate)
            play(placed)
        if dispatch.running:
            waited = dispatch.copy()
            waited.advance()
            play(waited)

    play(Dispatch(problem))
    return best


@examples(300)
@given(problems(max_size=6))
def test_no_schedule_is_shorter(problem):
    found = optimum(problem)
    assert found.proved
    assert found.makespan == makespan(problem, found.starts) == shortest(problem)
    assert violations(problem, found.starts) == []


def anything_commutes():
    rulebook = CommutationRulebook()
    rulebook.add_rule(lambda one, other: True)
    return rulebook


@examples(200)
@given(problems(st.builds(anything_commutes), max_size=5))
def test_no_schedule_is_shorter_where_only_the_machine_decides_the_order(problem):
    assert optimum(problem).makespan == shortest(problem)


def test_gates_of_a_qubit_may_be_kept_apart_for_longer_than_they_take():
    machine = MachineProperties(2).add_gates({"x": 1, "y": 3, "z": 5})
    machine.add_not_in_same_cycle([("x", "y"), ("y", "z")])
    circuit = [Gate("z", 1, 0), Gate("x", 1, 1), Gate("y", 0, 0), Gate("z", 1, 1), Gate("z", 1, 1)]
    problem = problem_of(circuit, machine, anything_commutes())
    assert optimum(problem).makespan == shortest(problem) == 16


@examples(150)
@given(problems(max_size=12))
def test_no_list_scheduler_is_better(problem):
    found = optimum(problem)
    assert found.proved
    assert found.makespan <= min(makespan(problem, schedule(problem)) for schedule in LISTS)


def test_waiting_for_a_common_start_is_found():
    circuit = [Gate("measure", 0, 0), Gate("measure", 1, 1), Gate("x", 1, 1)]
    for gates in (circuit, circuit[::-1]):
        problem = problem_of(gates)
        found = optimum(problem)
        assert (found.makespan, found.bound, found.proved) == (12, 12, True)
        assert forward_starts(problem, found.starts) == ([0, 0, 10] if gates == circuit else [0, 2, 2])
    # With an x at either end no scheduler that never waits aligns them, wherever it begins.
    problem = problem_of([Gate("x", 0, 0), Gate("measure", 0, 0), Gate("measure", 1, 1), Gate("x", 1, 1)])
    assert [makespan(problem, schedule(problem)) for schedule in LISTS] == [20, 20, 20, 20]
    assert optimum(problem).makespan == 14


def test_three_measurements_are_brought_together_and_nothing_slips_between():
    circuit = [Gate("measure", 0, 0), Gate("measure", 1, 1), Gate("measure", 2, 2), Gate("x", 1, 1)]
    problem = problem_of(circuit, "ten_qubit")
    assert makespan(problem, critical_path(problem)) == 20
    assert forward_starts(problem, optimum(problem).starts) == [0, 0, 0, 10]
    problem = problem_of([Gate("x", 0, 0), *circuit], "ten_qubit")
    assert forward_starts(problem, optimum(problem).starts) == [0, 2, 2, 2, 12]


def test_gates_ordered_without_a_common_qubit_may_start_together():
    rulebook = CommutationRulebook(default_rules=False)
    rulebook.add_rule(lambda one, other: one.q1 != other.q1 and not one.name == other.name == "measure")
    problem = problem_of([Gate("measure", 0, 0), Gate("measure", 1, 1), Gate("x", 0, 0)], rulebook=rulebook)
    assert makespan(problem, critical_path(problem)) == 20
    assert forward_starts(problem, optimum(problem).starts) == [0, 0, 10]


class Positions(CommutationRulebook):
    """A rulebook of a user's own that looks at where gates are, not at what they are."""

    def __init__(self, pairs):
        super().__init__()
        self.pairs = pairs

    def make_blocking_matrix(self, circuit):
        matrix = np.zeros((len(circuit), len(circuit)), dtype=bool)
        matrix[tuple(zip(*self.pairs, strict=True))] = True
        return matrix


@pytest.mark.parametrize(
    ("gates", "pairs", "shortest_makespan"),
    [
        # The long gate waits for the first x alone.
        ([Gate("long", 1, 1), Gate("x", 0, 0), Gate("x", 0, 0)], [(0, 1)], 12),
        # The second x waits for the long gate, and that for the y: there is room for the first x beside it.
        ([Gate("x", 0, 0), Gate("x", 0, 0), Gate("long", 0, 1), Gate("y", 1, 1)], [(1, 2), (2, 3)], 16),
    ],
)
def test_equal_gates_keep_their_order_only_where_that_costs_nothing(gates, pairs, shortest_makespan):
    machine = MachineProperties(4).add_gates({"x": 2, "y": 2, "long": 12, "measure": 10})
    machine.add_same_start(["measure"])
    # Something to search for: the critical path takes 20 cycles with these.
    n = len(gates)
    circuit = [*gates, Gate("measure", 2, 2), Gate("measure", 3, 3), Gate("y", 3, 3)]
    problem = problem_of(circuit, machine, Positions([*pairs, (n + 1, n + 2)]))
    assert makespan(problem, critical_path(problem)) == 20
    assert optimum(problem).makespan == shortest_makespan


def test_the_order_of_commuting_cnots_is_part_of_the_decision():
    circuit = [Gate("cnot", 0, 1), Gate("cnot", 0, 2), Gate("measure", 2, 2), Gate("measure", 2, 2)]
    forced, free = problem_of(circuit, "ten_qubit"), problem_of(circuit, "ten_qubit", with_cnot_rule())
    assert optimum(forced).makespan == 6 + 6 + 10 + 10
    found = optimum(free)
    assert found.makespan == 6 + 10 + 10
    assert forward_starts(free, found.starts)[1] == 0


@pytest.mark.parametrize(("machine", "gates"), [("ten_qubit", 30), ("starmon5", 30), ("workshop2", 50)])
def test_circuits_of_everyday_size_are_proved(machine, gates):
    for seed in range(3):
        problem = workshop(gates, seed, machine)
        found = optimum(problem, time_limit=20)
        assert found.proved
        assert max(problem.tails) <= found.makespan <= makespan(problem, critical_path(problem))
        assert found.starts == optimum(problem, time_limit=20).starts


def test_past_the_limit_the_best_schedule_comes_with_its_bound_and_is_not_called_proved():
    problem = workshop(200, seed=5, machine="starmon5")
    cut = optimum(problem, time_limit=0.001)
    assert not cut.proved
    assert cut.bound < cut.makespan <= makespan(problem, critical_path(problem))
    assert violations(problem, cut.starts) == []
    found = optimum(problem, time_limit=60)
    assert found.proved
    assert cut.bound <= found.makespan <= cut.makespan


def test_more_workers_prove_the_same():
    problem = workshop(40, seed=1)
    assert optimum(problem, workers=2).makespan == optimum(problem, workers=1, seed=7).makespan


def test_an_empty_circuit_takes_no_time():
    assert astuple(optimum(problem_of([])))[:3] == ([], 0, 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"time_limit": 0}, "time_limit should be positive and finite, but was 0"),
        ({"time_limit": float("nan")}, "time_limit should be positive and finite, but was nan"),
        ({"workers": 0}, "workers should be at least 1, but was 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, text):
    with pytest.raises(InputError, match=f"^{text}$"):
        optimum(problem_of([Gate("x", 0, 0)]), **arguments)


def test_without_ortools_a_line_says_how_to_get_it(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "ortools"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"^the exact optimum needs OR-Tools: pip install 'qexp\[exact\]'$"):
        optimum(problem_of([]))


def test_ortools_is_imported_only_when_asked(python, tmp_path):
    code = "import sys, qexp.gates.schedulers.optimum; print('ortools' in sys.modules)"
    assert python("-c", code, cwd=tmp_path).out == "False\n"


def test_a_result_is_proved_when_bound_and_makespan_meet():
    assert Optimum([0], 2, 2, 0.1).proved
    assert not Optimum([0], 4, 2, 0.1).proved


def test_the_example_of_the_documentation_prints_what_it_says(capsys):
    text = (Path(__file__).parents[2] / "docs" / "gate-schedulers.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(code, "docs/gate-schedulers.md", "exec"), {})  # noqa: S102 - the documentation's own text
    printed = capsys.readouterr().out.splitlines()
    assert f"It prints `{printed[0]}` and `{printed[1]}`." in " ".join(text.split())
