"""Runs without training through the command line: what the run folder promises to those who read it."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest
import yaml
from cases import quick_first

EPISODE_COLUMNS = [
    "scheduler",
    "episode",
    "tasks",
    "total_completion_time",
    "rescheduling_delay",
    "total_wait",
    "total_service",
    "makespan",
    "reschedules",
    "mean_esp",
]
TASK_COLUMNS = [
    "scheduler",
    "episode",
    "task",
    "circuit",
    "width",
    "shots",
    "node",
    "arrival",
    "placement",
    "start",
    "finish",
    "wait",
    "service",
    "delay",
    "reschedules",
    "esp",
]
LEADERBOARD = {
    "scheduler": str,
    "episodes": int,
    "total_completion_time_mean": float,
    "total_completion_time_iqm": float,
    "ci_low": float,
    "ci_high": float,
    "vs_mct_pct": float,
    "vs_mct_ci_low_pct": float,
    "vs_mct_ci_high_pct": float,
    "win_rate_vs_mct": float,
    "reschedules_mean": float,
    "gap_closed": float,
}
HEURISTICS = {
    "random",
    "round_robin",
    "greedy",
    "greedy_error",
    "least_busy",
    "mct",
    "met",
    "fidelity",
    "weighted",
    "clairvoyant",
}
QUICK = ("tracking=off", "plots=false", "eval.episodes=3", "env.tasks=5")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def header(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[0].split(",")


def result(folder: Path) -> dict[str, object]:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_the_run_folder_keeps_its_contract(qexp, tmp_path):
    folder = tmp_path / "run"
    ended = qexp("tracking=off", "eval.episodes=4", "env.tasks=5", "seed=3", f"hydra.run.dir={folder}")
    assert (ended.status, ended.err) == (0, "")

    record = result(folder)
    assert record["status"] == "COMPLETED"
    assert record["seed"] == 3
    for key in ("config_hash", "fleet_hash"):
        assert re.fullmatch("sha256:[0-9a-f]{64}", record[key])
    assert {"qexp", "python", "numpy", "torch", "ray", "gymnasium", "simpy"} <= record["versions"].keys()
    assert record["mlflow_run_id"] is None
    assert record["training"] is None

    rows = record["leaderboard"]
    assert {row["scheduler"] for row in rows} == HEURISTICS
    for row in rows:
        assert list(row) == list(LEADERBOARD)
        for key, kind in LEADERBOARD.items():
            assert isinstance(row[key], kind), key
        assert row["ci_low"] <= row["total_completion_time_mean"] <= row["ci_high"]
        assert row["episodes"] == 4
    by_name = {row["scheduler"]: row for row in rows}
    assert by_name["mct"]["vs_mct_pct"] == by_name["mct"]["gap_closed"] == 0
    assert by_name["clairvoyant"]["gap_closed"] == 1
    assert by_name["clairvoyant"]["vs_mct_pct"] < 0 < by_name["random"]["vs_mct_pct"]
    means = [row["total_completion_time_mean"] for row in rows]
    assert means == sorted(means)

    assert header(folder / "episodes.csv") == EPISODE_COLUMNS
    assert header(folder / "tasks.csv") == TASK_COLUMNS
    assert header(folder / "leaderboard.csv") == list(LEADERBOARD)
    episodes = table(folder / "episodes.csv")
    assert len(episodes) == 10 * 4
    assert len(table(folder / "tasks.csv")) == 10 * 4 * 5
    for row, told in zip(table(folder / "leaderboard.csv"), rows, strict=True):
        assert row["scheduler"] == told["scheduler"]
        for key in list(LEADERBOARD)[1:]:
            assert float(row[key]) == told[key]
        mine = [float(e["total_completion_time"]) for e in episodes if e["scheduler"] == row["scheduler"]]
        assert float(row["total_completion_time_mean"]) == pytest.approx(math.fsum(mine) / 4, rel=1e-12)
        mct = [float(e["total_completion_time"]) for e in episodes if e["scheduler"] == "mct"]
        change = 100 * (math.fsum(mine) / math.fsum(mct) - 1)
        assert float(row["vs_mct_pct"]) == pytest.approx(change, abs=1e-9)

    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert (config["env"]["tasks"], config["seed"], config["eval"]["seed"]) == (5, 3, 3)
    plots = {path.name for path in (folder / "plots").iterdir()}
    assert len(plots) >= 3
    assert all((folder / "plots" / name).stat().st_size > 5000 for name in plots)
    for name in HEURISTICS:
        assert name in ended.out


def test_runs_go_to_a_folder_of_their_own_by_date_and_time(qexp):
    for _ in range(2):
        assert qexp(*QUICK, "eval.baselines=[]").status == 0
    results = sorted(Path("outputs").glob("*/*/result.json"))
    assert len(results) == 2
    assert all(
        re.fullmatch(r"outputs/\d{4}-\d\d-\d\d/[\d-]+/result\.json", path.as_posix()) for path in results
    )
    assert not list(Path("outputs").glob("mlflow*"))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(qexp, tmp_path):
    runs = {}
    for name, seed in {"one": 5, "again": 5, "other": 6}.items():
        assert qexp(*QUICK, f"seed={seed}", f"hydra.run.dir={tmp_path / name}").status == 0
        files = ("episodes.csv", "tasks.csv", "leaderboard.csv")
        runs[name] = [(tmp_path / name / file).read_bytes() for file in files]
    assert runs["one"] == runs["again"]
    assert all(one != other for one, other in zip(runs["one"], runs["other"], strict=True))
    hashes = {name: result(tmp_path / name)["config_hash"] for name in runs}
    assert hashes["one"] == hashes["again"] != hashes["other"]


@pytest.mark.slow
def test_the_evaluation_seed_decides_about_the_episodes(qexp, tmp_path):
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        assert qexp(*QUICK, f"seed={seed}", "eval.seed=9", f"hydra.run.dir={folder}").status == 0
    one, other = ((tmp_path / seed / "episodes.csv").read_bytes() for seed in "12")
    assert one == other


@pytest.mark.slow
def test_a_sweep_makes_one_folder_for_each_job(qexp, tmp_path):
    ended = qexp(
        "-m", *QUICK, "eval.baselines=[mct]", "scheduler=met,weighted", f"hydra.sweep.dir={tmp_path / 's'}"
    )
    assert (ended.status, ended.err) == (0, "")
    jobs = sorted(path.parent for path in (tmp_path / "s").glob("*/result.json"))
    assert [job.name.rpartition("-")[0] for job in jobs] == ["scheduler=met", "scheduler=weighted"]
    names = [{row["scheduler"] for row in result(job)["leaderboard"]} for job in jobs]
    assert names == [{"met", "mct"}, {"weighted", "mct"}]


@pytest.mark.slow
def test_the_chosen_scheduler_is_compared_with_the_baselines_once_each(qexp, tmp_path):
    folder = tmp_path / "run"
    arguments = ("scheduler=mct", "eval.baselines=[mct,random,random]", f"hydra.run.dir={folder}")
    assert qexp(*QUICK, *arguments).status == 0
    assert sorted(row["scheduler"] for row in result(folder)["leaderboard"]) == ["mct", "random"]


@pytest.mark.slow
def test_two_settings_of_one_scheduler_are_two_rows(qexp, tmp_path):
    files = []
    for weight in (0.0, 1.0):
        folder = tmp_path / str(weight)
        choice = (
            "scheduler=weighted",
            f"scheduler.fidelity_weight={weight}",
            "eval.baselines=[weighted,mct]",
        )
        assert qexp(*QUICK, *choice, f"hydra.run.dir={folder}").status == 0
        files.append({row["scheduler"]: row for row in result(folder)["leaderboard"]})
    means = [{name: row["total_completion_time_mean"] for name, row in rows.items()} for rows in files]
    assert means[0]["weighted fidelity_weight=0.0"] == means[0]["mct"]
    assert means[1]["weighted fidelity_weight=1.0"] > means[1]["mct"]
    assert means[0]["weighted"] == means[1]["weighted"] != means[0]["mct"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    quick_first(
        [
            ["eval.baselines=[]", "scheduler=met"],
            ["eval.episodes=1"],
            ["env.tasks=1"],
            ["env.mask=false"],
            ["backend=ibm13"],
            ["backend=heron"],
            ["backend=synthetic", "backend.machines=40"],
            ["env/workload=mqt50", "env/arrivals=poisson", "env/service_time=repetition_delay"],
            ["env.arrivals.window=0", "env.initial_backlog=30"],
            ["env.observation=flat", "env/reward=inverse"],
        ],
        2,
    ),
    ids=" ".join,
)
def test_unusual_runs_work(arguments, qexp, tmp_path):
    folder = tmp_path / "run"
    quick = [q for q in QUICK if q.split("=")[0] not in {a.split("=")[0] for a in arguments}]
    baselines = (
        () if "eval.baselines=[]" in arguments else ("eval.baselines=[mct,random,greedy,clairvoyant]",)
    )
    ended = qexp(*quick, *baselines, *arguments, f"hydra.run.dir={folder}")
    assert (ended.status, ended.err) == (0, "")
    assert result(folder)["status"] == "COMPLETED"
    for row in table(folder / "episodes.csv"):
        assert float(row["total_completion_time"]) > 0


def test_a_run_that_breaks_says_so(qexp, tmp_path, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    folder = tmp_path / "run"
    monkeypatch.setattr("qexp.stages.evaluation.evaluate", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        qexp(*QUICK, f"hydra.run.dir={folder}")
    record = result(folder)
    assert record["status"] == "FAILED"
    assert "a bug" in record["error"]
    assert record["leaderboard"] == []


@pytest.mark.slow
def test_an_interrupted_run_says_so(qexp, tmp_path, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    monkeypatch.setattr("qexp.stages.evaluation.evaluate", interrupted)
    ended = qexp(*QUICK, f"hydra.run.dir={folder}")
    assert (ended.status, ended.err) == (130, "qexp: interrupted\n")
    assert result(folder)["status"] == "KILLED"
