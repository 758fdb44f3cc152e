"""The gate scheduling problem as configured: its episodes, its circuits, and how a schedule is played."""

from __future__ import annotations

import numpy as np
import pytest
from cases import examples
from gate_problems import problems
from hypothesis import given

from qexp.config.option import REGISTRY, load_options
from qexp.errors import InputError
from qexp.gates.circuits.basic import Basic
from qexp.gates.circuits.mqt import MQT
from qexp.gates.circuits.qasm import QASM
from qexp.gates.circuits.workshop import Workshop
from qexp.gates.gate_scheduling import GATE_SCHEDULING, GateScheduling
from qexp.gates.problem import GateEpisode
from qexp.gates.schedule import forward_starts, makespan, violations
from qexp.gates.schedulers import list_scheduling
from qexp.gates.schedulers.gate_scheduler import GateScheduler
from qexp.gates.schedulers.optimum import optimum
from qexp.problem.policy_scheduler import PolicyScheduler
from qexp.problem.scheduler import Scheduler, schedulers_of
from qexp.stages.evaluation import evaluate

load_options()
SCHEDULERS = schedulers_of("gate_scheduling")
SCENARIO = GateScheduling(circuits=Workshop(8, 12))
GHZ = """OPENQASM 2.0;
include "qelib1.inc";
qreg q[3]; creg c[3];
h q[0]; cx q[0],q[1]; barrier q; cx q[1],q[2];
measure q -> c;
"""


@given(problems())
@examples(30)
@pytest.mark.parametrize("name", ["asap", "alap", "critical_path"])
def test_what_is_played_is_what_was_planned(name, problem):
    scheduler, episode = REGISTRY["scheduler"][name](), GateEpisode("by hand", problem)
    played = SCENARIO.play(scheduler, episode, np.random.default_rng(0))
    backward = getattr(list_scheduling, name)(problem)
    assert [row[-1] for row in played.tasks] == forward_starts(problem, backward)
    assert played.totals[2] == makespan(problem, backward)


def all_schedulers():
    return {name: REGISTRY["scheduler"][name]() for name in SCHEDULERS}


@pytest.fixture(scope="module")
def measured():
    return evaluate(SCENARIO, all_schedulers(), episodes=6, seed=4)


def test_the_tables_hold_schedules_that_the_machine_can_run(measured):
    episodes = measured.episodes.set_index(["scheduler", "episode"])
    assert len(episodes) == len(SCHEDULERS) * 6
    for (name, k), gates in measured.tasks.groupby(["scheduler", "episode"]):
        problem = SCENARIO.episode(4, k).problem
        ordered = gates.sort_values("gate")
        assert ordered[["name", "q1", "q2"]].to_numpy().tolist() == [list(gate) for gate in problem.circuit]
        assert ordered["cycles"].tolist() == list(problem.cycles)
        starts = ordered["start"].tolist()
        assert min(starts) == 0
        assert violations(problem, forward_starts(problem, starts)) == []
        row = episodes.loc[(name, k)]
        assert row["makespan"] == max(ordered["start"] + ordered["cycles"])
        assert row["gates"] == len(problem)


def test_every_result_is_over_the_optimum(measured):
    best = {k: optimum(SCENARIO.episode(4, k).problem) for k in range(6)}
    assert all(one.proved for one in best.values())
    assert measured.episodes["optimum_proved"].all()
    for row in measured.episodes.itertuples():
        assert row.over_optimum == row.makespan / best[row.episode].makespan >= 1
        assert row.bound <= best[row.episode].makespan


def test_a_schedulers_results_depend_on_no_other(measured):
    few = evaluate(
        SCENARIO,
        {"randomised_critical_path": all_schedulers()["randomised_critical_path"]},
        episodes=6,
        seed=4,
    )
    assert "over_optimum" not in few.episodes
    rows = measured.episodes[measured.episodes["scheduler"] == "randomised_critical_path"]
    assert few.episodes["makespan"].tolist() == rows["makespan"].tolist()


def test_an_optimum_that_is_not_proved_is_marked_and_the_best_takes_its_place():
    class Hasty(REGISTRY["scheduler"]["cp_sat"]):
        def plan(self, problem, rng):
            self.bound = 1
            return list_scheduling.asap(problem)

    schedulers = all_schedulers() | {"cp_sat": Hasty()}
    episodes = evaluate(SCENARIO, schedulers, episodes=6, seed=4).episodes
    best = episodes.groupby("episode")["makespan"].transform("min")
    assert (episodes["over_optimum"] == episodes["makespan"] / best).all()
    # The longest chain may still prove what the search did not.
    bound = episodes.groupby("episode")["bound"].transform("max")
    assert (episodes["optimum_proved"] == (best == bound)).all()
    assert not episodes["optimum_proved"].all()


def test_episodes_are_the_same_whoever_asks():
    asked = [SCENARIO.episode(1, k) for k in (2, 0, 2)]
    assert asked[0].problem.circuit == asked[2].problem.circuit != asked[1].problem.circuit
    assert GateScheduling(circuits=Workshop(8, 12)).episode(1, 2).problem.circuit == asked[0].problem.circuit
    assert SCENARIO.episode(2, 2).problem.circuit != asked[0].problem.circuit


@pytest.mark.parametrize(("source", "first"), [(Workshop, None), (Basic, "prep")])
@pytest.mark.parametrize(("low", "high"), [(20, 30), (50, 50), (5, 5)])
def test_random_circuits_have_as_many_gates_as_asked_for(source, first, low, high):
    scenario = GateScheduling(circuits=source(low, high))
    lengths = {len(problem) for problem in scenario.draw(np.random.default_rng(0), 40)}
    assert lengths <= set(range(low, high + 1))
    assert len(lengths) > 1 or low == high
    assert scenario.longest == high
    if first:
        assert all(gate.name == first for gate in scenario.episode(0, 0).problem.circuit[:5])


def test_the_rulebook_is_a_choice():
    more, fewer = (GateScheduling(rulebook=name) for name in ("cnot", "default"))
    pairs = [(more.episode(0, k).problem, fewer.episode(0, k).problem) for k in range(5)]
    assert all(a.circuit == b.circuit for a, b in pairs)
    blocked = [[sum(bits.bit_count() for bits in p.blockers) for p in pair] for pair in pairs]
    assert all(a < b for a, b in blocked)


def test_files_are_episodes_and_those_compared_on_are_not_trained_on(tmp_path):
    for name, qubits in (("a", "q"), ("b", "q")):
        (tmp_path / f"{name}.qasm").write_text(GHZ.replace(" q", f" {qubits}"), encoding="utf-8")
    scenario = GateScheduling(circuits=QASM(str(tmp_path)), held_out=1)
    assert scenario.fixed_episodes == 2
    assert [scenario.episode(7, k).name for k in (0, 1)] == ["a", "b"]
    names = [gate.name for gate in scenario.episode(7, 0).problem.circuit]
    assert names == ["h", "cnot", "cnot", "measure", "measure", "measure"]
    trained = scenario.draw(np.random.default_rng(0), 10)
    assert all(problem is scenario.episode(0, 1).problem for problem in trained)
    scenario.check_training()
    with pytest.raises(InputError, match=r"eval\.episodes=2 takes all 2 circuits"):
        GateScheduling(circuits=QASM(str(tmp_path)), held_out=2).check_training()
    # There are no more episodes than circuits.
    assert len(evaluate(scenario, {"asap": all_schedulers()["asap"]}, episodes=50, seed=0).episodes) == 2


def test_openqasm_3_and_broken_files(tmp_path):
    file = tmp_path / "three.qasm"
    file.write_text(
        'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; h q[0]; cx q[0], q[1];', encoding="utf-8"
    )
    assert [g.name for g in GateScheduling(circuits=QASM(str(file))).episode(0, 0).problem.circuit] == [
        "h",
        "cnot",
    ]
    for text in ("OPENQASM 2.0; qreg q[2]; nonsense q[0];", "OPENQASM 3.0; nonsense;", "\udcff"):
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError, match=r"env\.circuits\.path: .*three\.qasm"):
            GateScheduling(circuits=QASM(str(file)))
    with pytest.raises(InputError, match=r"no \.qasm files"):
        GateScheduling(circuits=QASM(str(tmp_path / "..")))


def test_mqt_bench_circuits_are_compiled_for_the_machine():
    scenario = GateScheduling(machine="starmon5", circuits=MQT(["ghz", "qft"], 3, 4))
    names = [scenario.episode(0, k).name for k in range(scenario.fixed_episodes)]
    assert names == ["ghz_3", "ghz_4", "qft_3", "qft_4"]
    ghz = scenario.episode(0, 0).problem.circuit
    assert [gate.name for gate in ghz].count("measure") == 3
    for k in range(4):
        circuit = scenario.episode(0, k).problem.circuit
        assert {gate.name for gate in circuit} <= scenario.properties.gates.keys()
    again = GateScheduling(machine="starmon5", circuits=MQT(["ghz", "qft"], 3, 4))
    assert again.episode(0, 3).problem.circuit == scenario.episode(0, 3).problem.circuit


class AsPolicy:
    """What a trained policy of gates offers."""

    environment, algorithm = "gate_scheduling", "a2c"

    def starts(self, problem):
        return list_scheduling.critical_path(problem)


def test_a_policy_of_gates_is_a_scheduler_like_any_other():
    scheduler = PolicyScheduler()
    scheduler.policy = AsPolicy()
    learned = evaluate(SCENARIO, {"policy": scheduler}, episodes=3, seed=4)
    other = evaluate(SCENARIO, {"critical_path": all_schedulers()["critical_path"]}, episodes=3, seed=4)
    assert learned.tasks.drop(columns="scheduler").equals(other.tasks.drop(columns="scheduler"))


def plays(plan):
    """Let a scheduler plan the first circuit so."""

    class Wrong(GateScheduler):
        def plan(self, problem, rng):
            return plan(problem)

    return SCENARIO.play(Wrong(), SCENARIO.episode(0, 0), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (lambda problem: [0] * len(problem), "as the machine cannot run it: gate"),
        (lambda problem: [-1, *list_scheduling.alap(problem)[1:]], "gate 0 is not scheduled"),
        (lambda problem: list_scheduling.alap(problem)[1:], "it must be the start cycle of each of"),
        (lambda problem: [0.5] * len(problem), "it must be the start cycle of each of"),
        (lambda problem: ["0"] * len(problem), "it must be the start cycle of each of"),
        (lambda problem: None, "it must be the start cycle of each of"),
        (lambda problem: 7, "it must be the start cycle of each of"),
    ],
)
def test_a_plan_that_the_machine_cannot_run_is_refused_in_one_line(plan, words):
    with pytest.raises(InputError, match=r"^scheduler: Wrong ") as refused:
        plays(plan)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_plan_may_begin_late_and_be_an_array():
    problem = SCENARIO.episode(0, 0).problem
    early = plays(list_scheduling.alap)
    late = plays(lambda problem: np.array(list_scheduling.alap(problem)))
    assert early == late
    assert early.totals.makespan == makespan(problem, list_scheduling.alap(problem))


def test_a_scheduler_that_plans_nothing_is_told_so():
    class Placing(Scheduler):
        environment = "gate_scheduling"

        def select(self, dispatch):
            return 0

    with pytest.raises(InputError, match=r"Placing plans no circuits: derive it from qexp\.GateScheduler"):
        SCENARIO.play(Placing(), SCENARIO.episode(0, 0), np.random.default_rng(0))


def test_the_machines_hash_is_of_the_machine():
    hashes = {GateScheduling(machine=name).machines_hash for name in ("workshop5", "starmon5", "ten_qubit")}
    assert len(hashes) == 3
    assert GateScheduling(rulebook="default").machines_hash == SCENARIO.machines_hash
    assert GATE_SCHEDULING.ideal in SCHEDULERS
