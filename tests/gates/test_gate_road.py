"""``env=gate_scheduling`` on the command line: what a run leaves, what a sweep says, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from cases import quick_first

SCHEDULERS = {"asap", "alap", "critical_path", "randomised_critical_path", "cp_sat"}
GATES = ("env=gate_scheduling", "env.circuits.min_gates=6", "env.circuits.max_gates=9", "eval.episodes=4")
QUICK = (*GATES, "tracking=off", "plots=false")
LEADERBOARD = [
    "scheduler",
    "episodes",
    "makespan_mean",
    "makespan_iqm",
    "ci_low",
    "ci_high",
    "vs_critical_path_pct",
    "vs_critical_path_ci_low_pct",
    "vs_critical_path_ci_high_pct",
    "win_rate_vs_critical_path",
    "gap_closed",
    "over_optimum",
    "over_optimum_ci_low",
    "over_optimum_ci_high",
    "optimal_share",
    "optimum_proved_share",
]
EPISODES = ["scheduler", "episode", "circuit", "gates", "makespan", "bound", "over_optimum", "optimum_proved"]
PARTS = ["scheduler", "episode", "gate", "name", "q1", "q2", "cycles", "start"]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_in_a_process_of_its_own(python, tmp_path):
    ended = python("-m", "qexp", *GATES, "tracking=off", "hydra.run.dir=run", cwd=tmp_path)
    assert ended.status == 0, ended.err
    folder = tmp_path / "run"
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert record["status"] == "COMPLETED"
    assert record["options"] == {
        "backend": "none",
        "env": "gate_scheduling",
        "env/circuits": "workshop",
        "scheduler": "critical_path",
        "algo": "none",
        "deploy": "none",
        "tracking": "off",
    }
    board = {row["scheduler"]: row for row in record["leaderboard"]}
    assert board.keys() == SCHEDULERS
    assert list(board["asap"]) == LEADERBOARD
    assert board["cp_sat"]["over_optimum"] == board["cp_sat"]["optimum_proved_share"] == 1
    assert board["cp_sat"]["optimal_share"] == 1
    assert board["critical_path"]["vs_critical_path_pct"] == 0
    for row in board.values():
        assert 1 <= row["over_optimum_ci_low"] <= row["over_optimum"] <= row["over_optimum_ci_high"]
    assert list(table(folder / "episodes.csv")[0]) == EPISODES
    assert list(table(folder / "gates.csv")[0]) == PARTS
    assert not (folder / "tasks.csv").exists()
    for row in table(folder / "leaderboard.csv"):
        mine = [
            float(e["over_optimum"])
            for e in table(folder / "episodes.csv")
            if e["scheduler"] == row["scheduler"]
        ]
        assert float(row["over_optimum"]) == pytest.approx(sum(mine) / 4)
    assert {path.name for path in (folder / "plots").iterdir()} == {"makespan.png", "schedule.png"}
    assert all(path.stat().st_size > 5000 for path in (folder / "plots").iterdir())
    for name in SCHEDULERS:
        assert name in ended.out
    assert "over" in ended.out
    assert "not proved" not in ended.out
    assert max(len(line) for line in ended.out.splitlines()) <= 100


@pytest.mark.slow
def test_a_result_that_is_not_proved_says_so_everywhere(qexp, tmp_path, monkeypatch):
    from qexp.gates.schedulers.cp_sat import CPSAT
    from qexp.gates.schedulers.list_scheduling import asap

    def out_of_time(self, problem, rng):
        self.bound = 1
        return asap(problem)

    monkeypatch.setattr(CPSAT, "plan", out_of_time)
    folder = tmp_path / "run"
    ended = qexp(*QUICK, f"hydra.run.dir={folder}")
    assert (ended.status, ended.err) == (0, "")
    rows = table(folder / "episodes.csv")
    unproved = {row["episode"] for row in rows if row["optimum_proved"] == "False"}
    assert unproved
    assert f"not proved: in {len(unproved)} episodes" in ended.out
    assert re.search(r"cp_sat .*\d\*", ended.out)
    for row in table(folder / "leaderboard.csv"):
        assert float(row["optimum_proved_share"]) == 1 - len(unproved) / 4


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(qexp, tmp_path):
    runs = {}
    for name, seed in {"one": 5, "again": 5, "other": 6}.items():
        assert qexp(*QUICK, f"seed={seed}", f"hydra.run.dir={tmp_path / name}").status == 0
        files = ("episodes.csv", "gates.csv", "leaderboard.csv")
        runs[name] = [(tmp_path / name / file).read_bytes() for file in files]
    assert runs["one"] == runs["again"]
    assert all(one != other for one, other in zip(runs["one"], runs["other"], strict=True))


@pytest.mark.slow
def test_a_sweep_pools_schedulers_and_a_second_start_runs_nothing(qexp):
    command = ("-m", "sweep=s", *QUICK, "scheduler=asap,critical_path", "seed=0,1")
    ended = qexp(*command)
    assert ended.status == 0, ended.err
    assert "4 of 4 jobs completed" in ended.out
    folder = Path("outputs/sweeps/s")
    board = table(folder / "sweep_leaderboard.csv")
    assert {row["name"] for row in board} == SCHEDULERS
    for row in board:
        assert (row["runs"], row["episodes"], row["optimum_proved_share"]) == ("2", "8", "1.0")
        assert 1 <= float(row["over_optimum_low"]) <= float(row["over_optimum"])
        assert float(row["over_optimum"]) <= float(row["over_optimum_high"])
    jobs = table(folder / "sweep.csv")
    assert [job["scheduler"] for job in jobs] == ["asap", "asap", "critical_path", "critical_path"]
    assert all(float(job["makespan_mean"]) > 0 and float(job["over_optimum"]) >= 1 for job in jobs)
    assert not (folder / "sweep.png").exists()
    again = qexp(*command)
    assert again.status == 0, again.err
    assert again.out.count("done before") == 4
    assert table(folder / "sweep_leaderboard.csv") == board


@pytest.mark.slow
def test_a_sweep_over_environments_keeps_them_apart(qexp):
    ended = qexp(
        "-m", "sweep=s", "env=placement,gate_scheduling", "eval.episodes=2", "tracking=off", "plots=false"
    )
    assert ended.status == 0, ended.err
    rows = table(Path("outputs/sweeps/s/sweep_leaderboard.csv"))
    assert {row["section"] for row in rows} == {"env=placement", "env=gate_scheduling"}
    assert all(bool(row["vs_mct_pct"]) != bool(row["vs_critical_path_pct"]) for row in rows)


REFUSED = {
    "scheduler of placements": (
        ["scheduler=mct"],
        ["scheduler=mct", "env=gate_scheduling", "critical_path, "],
    ),
    "baseline of placements": (["eval.baselines=[mct]"], ["eval.baselines", "'mct'", "cp_sat"]),
    "key of placements": (["env.tasks=25"], ["'env.tasks'", "env=placement"]),
    "group of placements": (["env/arrivals=poisson"], ["env/arrivals", "env=placement"]),
    "fleet": (["backend=ibm13"], ["backend=ibm13", "env.machine"]),
    "deployment": (["deploy=simulator"], ["deploy=simulator", "env=gate_scheduling"]),
    "machine": (["env.machine=starmon"], ["env.machine", "'starmon'", "starmon5"]),
    "rulebook": (["env.rulebook=none"], ["env.rulebook", "'none'", "cnot, default"]),
    "machine without the gates": (
        ["env.machine=workshop2", "env/circuits=basic"],
        ["env/circuits", "no gate prep, z", "env.machine"],
    ),
    "more than most": (
        ["env.circuits.min_gates=31"],
        ["env.circuits.min_gates=31", "env.circuits.max_gates=30"],
    ),
    "fewer than qubits": (["env.circuits.min_gates=4"], ["env.circuits.min_gates=4", "5 qubits"]),
    "length in the wrong place": (["env.max_gates=50"], ["'env.max_gates'", "'env.circuits.max_gates'"]),
    "time limit": (["scheduler=cp_sat", "scheduler.time_limit=0"], ["scheduler.time_limit=0"]),
    "family": (
        ["env/circuits=mqt", "env.circuits.families=[qtf]"],
        ["env.circuits.families", "'qtf'", "qft"],
    ),
    "width": (["env/circuits=mqt", "env.circuits.max_width=6"], ["env.circuits.max_width=6", "5 qubits"]),
    "gates do not suffice": (
        ["env/circuits=mqt", "env.machine=workshop2", "env.circuits.min_width=2", "env.circuits.max_width=2"],
        ["env/circuits=mqt", "x, y, cnot, measure", "do not suffice"],
    ),
    "no file": (["env/circuits=qasm", "env.circuits.path=no.qasm"], ["env.circuits.path", "no.qasm"]),
    "no path": (["env/circuits=qasm"], ["env.circuits.path"]),
}


@pytest.mark.parametrize("case", quick_first(REFUSED, 5))
def test_bad_input_is_refused_in_one_line_and_leaves_nothing(case, qexp):
    arguments, words = REFUSED[case]
    ended = qexp("env=gate_scheduling", "tracking=off", *arguments)
    assert ended.status == 2, ended
    assert re.fullmatch(r"qexp: [^\n]+\n", ended.err), ended.err
    for word in words:
        assert word in ended.err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    quick_first(
        [
            (["scheduler=critical_path"], ["scheduler=critical_path", "env=placement", "mct"]),
            (["eval.baselines=[cp_sat]"], ["eval.baselines", "'cp_sat'", "mct"]),
            (["env/circuits=mqt"], ["env/circuits", "env=gate_scheduling"]),
            (["backend=none"], ["backend=none", "env=placement"]),
        ]
    ),
)
def test_placement_refuses_what_belongs_to_gates(arguments, words, qexp):
    ended = qexp("tracking=off", *arguments)
    assert ended.status == 2
    assert re.fullmatch(r"qexp: [^\n]+\n", ended.err), ended.err
    assert all(word in ended.err for word in words)


@pytest.mark.slow
def test_without_or_tools_all_else_runs_and_the_optimum_says_what_it_needs(qexp, monkeypatch, tmp_path):
    for module in ("config.option", "gates.gate_scheduling"):
        monkeypatch.setattr(f"qexp.{module}.find_spec", lambda name: None if name == "ortools" else object())
    ended = qexp(*QUICK, f"hydra.run.dir={tmp_path / 'run'}")
    assert (ended.status, ended.err) == (0, "")
    assert "cp_sat needs pip install 'qexp[exact]'" in ended.out
    rows = table(tmp_path / "run" / "leaderboard.csv")
    assert {row["scheduler"] for row in rows} == SCHEDULERS - {"cp_sat"}
    assert {row["over_optimum"] for row in rows} == {""}
    ended = qexp(*QUICK, "scheduler=cp_sat")
    assert ended.status == 2
    assert "pip install 'qexp[exact]'" in ended.err


def test_a_policy_of_placements_schedules_no_gates(qexp, tmp_path):
    import numpy as np

    from qexp.placement.policy import PlacementPolicy
    from qexp.problem.bundle import save_policy
    from qexp.problem.network import ScorerNetwork

    architecture = PlacementPolicy.architecture(hidden=4)
    weights = {name: np.asarray(value) for name, value in ScorerNetwork(architecture).state_dict().items()}
    save_policy(tmp_path / "p", weights, {"algorithm": "a2c", "architecture": architecture.as_dict()})
    ended = qexp(*QUICK, "scheduler=policy", f"scheduler.path={tmp_path / 'p'}")
    assert ended.status == 2
    assert "is a policy for env=placement, not gate_scheduling" in ended.err


@pytest.mark.slow
def test_mlflow_has_figures_files_and_pictures(qexp, tmp_path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert qexp(*GATES, f"tracking.uri={uri}").status == 0
    client = MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "qexp"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name.startswith("critical_path-6to9gates-seed0")
    for name in (*SCHEDULERS, "chosen"):
        assert run.data.metrics[f"eval/{name}/optimum_proved_share"] == 1
        assert run.data.metrics[f"eval/{name}/over_optimum"] >= 1
    assert run.data.tags["env"] == run.data.params["env"] == "gate_scheduling"
    assert run.data.params["env.circuits"] == "workshop"
    files = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert files >= {"leaderboard.csv", "episodes.csv", "gates.csv", "plots"}
    assert "plots/schedule.png" in {item.path for item in client.list_artifacts(run.info.run_id, "plots")}
