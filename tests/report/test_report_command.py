"""``qexp report``: a run's leaderboard and a sweep's tables, from their folders alone."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from qexp.api import evaluate, leaderboard, run

OLD = Path(__file__).parents[1] / "old_runs"
RUN = ("tracking=off", "plots=false", "env.tasks=4", "eval.episodes=3", "eval.baselines=[mct,clairvoyant]")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_run_s_leaderboard_in_every_format(qexp):
    printed = qexp(*RUN, "scheduler=weighted", "hydra.run.dir=run")
    assert printed.status == 0, printed.err
    board = pd.read_csv("run/leaderboard.csv")
    console = qexp("report", "run").out
    assert console in printed.out
    table = rows(qexp("report", "run", "--format", "csv").out)
    assert [row["scheduler"] for row in table] == list(board["scheduler"])
    for key in ("total_completion_time_mean", "ci_low", "vs_mct_ci_high_pct", "win_rate_vs_mct"):
        assert [float(row[key]) for row in table] == list(board[key])
    for output, mark in (("markdown", "| mct |"), ("latex", "mct &"), ("html", "<td>mct</td>")):
        ended = qexp("report", "run", "--format", output)
        assert (ended.status, ended.err) == (0, "")
        assert mark in ended.out
        assert "Total completion time of an episode" in ended.out
    assert qexp("report", "run", "--format", "pdf").status == 2


def test_results_and_evaluations_have_their_leaderboard_as_a_table(tmp_path, qexp):
    result = run(*RUN, "scheduler=weighted", folder=tmp_path / "run")
    assert result.table.latex() == qexp("report", str(tmp_path / "run"), "--format", "latex").out
    evaluation = evaluate(["mct", "met", {"weighted": {"fidelity_weight": 0.2}}], episodes=3, seed=1)
    table, frame = rows(evaluation.table(seed=1).csv()), leaderboard(evaluation, seed=1)
    assert [row["scheduler"] for row in table] == list(frame["scheduler"])
    assert [float(row["vs_mct_pct"]) for row in table] == list(frame["vs_mct_pct"])


@pytest.mark.slow
def test_a_sweep_s_tables_in_every_format(qexp):
    assert qexp("-m", "sweep=s", *RUN, "scheduler=mct,weighted", "seed=1,2").status == 0
    folder = Path("outputs/sweeps/s")
    jobs, contenders = map(rows, qexp("report", str(folder), "--format", "csv").out.split("\n\n"))
    assert [(row["scheduler"], row["seed"]) for row in jobs] == [
        *(("mct", "1"), ("mct", "2"), ("weighted", "1"), ("weighted", "2"))
    ]
    board = pd.read_csv(folder / "sweep_leaderboard.csv")
    assert [row["name"] for row in contenders] == list(board["name"])
    for key in ("mean", "iqm_low", "vs_mct_pct", "vs_mct_high_pct", "improvement"):
        assert [float(row[key]) for row in contenders] == list(board[key])
    for output, mark in (
        ("markdown", "| weighted |"),
        ("latex", "weighted &"),
        ("html", "<td>weighted</td>"),
    ):
        ended = qexp("report", str(folder), "--format", output)
        assert (ended.status, ended.err) == (0, "")
        assert mark in ended.out
        assert "4 of 4 jobs" not in ended.out


def test_what_an_earlier_version_left_is_reported(qexp, tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    result = json.loads((tmp_path / "old" / "complete" / "result.json").read_text(encoding="utf-8"))
    table = rows(qexp("report", str(tmp_path / "old" / "complete"), "--format", "csv").out)
    assert [(row["scheduler"], float(row["total_completion_time_mean"])) for row in table] == [
        (row["scheduler"], row["total_completion_time_mean"]) for row in result["leaderboard"]
    ]
    ended = qexp("report", str(tmp_path / "old" / "sweep"))
    assert (ended.status, ended.err) == (0, "")
    assert "2 of 4 jobs completed" in ended.out
    assert (tmp_path / "old" / "sweep" / "sweep.png").is_file()


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (None, "not the folder of a sweep, nor of a run that ended"),
        ({"status": "FAILED", "error": "no machine", "leaderboard": []}, "has no leaderboard: no machine"),
        ({"status": "KILLED", "leaderboard": []}, "has no leaderboard"),
    ],
    ids=["nothing", "failed", "killed"],
)
def test_a_folder_without_a_leaderboard_is_refused_in_one_line(result, says, qexp):
    Path("run").mkdir()
    if result is not None:
        Path("run/result.json").write_text(json.dumps(result), encoding="utf-8")
    ended = qexp("report", "run")
    assert (ended.status, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("qexp: run ")
    assert says in line
