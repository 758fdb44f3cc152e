"""A multirun from the command line: its files, what fails, what is run again, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

ROOT = Path(__file__).parents[2]
QUICK = ("plots=false", "eval.episodes=3", "env.tasks=4", "eval.baselines=[mct]")
SWEEP = ("-m", "sweep=s", "scheduler=mct,greedy", "seed=0,1", *QUICK)


def rows(folder: Path, name: str = "sweep.csv") -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def statuses(folder: Path) -> list[str]:
    return [row["status"] for row in rows(folder)]


def results(folder: Path) -> dict[str, tuple[int, bytes]]:
    """When each job's result was written, and what is in it."""
    files = sorted(folder.glob("*/result.json"))
    return {file.parent.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


@pytest.mark.slow
def test_a_sweep_leaves_tables_a_figure_and_nested_runs(qexp):
    ended = qexp(*SWEEP, "plots=true")
    assert ended.status == 0, ended.err
    assert "4 of 4 jobs completed" in ended.out
    folder = Path("outputs/sweeps/s")
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "multirun.yaml",
        "tracking.jsonl",
        "sweep.json",
        "sweep.csv",
        "sweep.png",
        "sweep_leaderboard.csv",
    }
    assert [(row["scheduler"], row["seed"]) for row in rows(folder)] == [
        ("mct", "0"),
        ("mct", "1"),
        ("greedy", "0"),
        ("greedy", "1"),
    ]
    board = rows(folder, "sweep_leaderboard.csv")
    assert [(row["name"], row["runs"], row["episodes"]) for row in board] == [
        ("mct", "2", "6"),
        ("greedy", "2", "6"),
    ]
    with closing(connect("outputs/mlflow.db")) as store:
        runs = dict(store.execute("select name, run_uuid from runs where status = 'FINISHED'").fetchall())
        parents = store.execute("select value from tags where key = 'mlflow.parentRunId'").fetchall()
        metrics = store.execute(
            "select count(*) from latest_metrics where run_uuid = ?", [runs["sweep s"]]
        ).fetchone()
    assert len(runs) == 5
    assert parents == [(runs["sweep s"],)] * 4
    assert metrics[0] > 0
    assert json.loads((folder / "sweep.json").read_text())["mlflow_run_id"] == runs["sweep s"]


@pytest.mark.slow
def test_the_same_command_again_runs_nothing_and_shows_the_same(qexp):
    first = qexp(*SWEEP, "tracking=off")
    folder = Path("outputs/sweeps/s")
    table, before = (folder / "sweep.csv").read_bytes(), results(folder)
    again = qexp(*SWEEP, "tracking=off")
    assert again.status == 0
    assert again.out.count("done before") == 4
    assert first.out[first.out.index("Jobs") :] == again.out[again.out.index("Jobs") :]
    assert (folder / "sweep.csv").read_bytes() == table
    assert results(folder) == before


@pytest.mark.slow
def test_a_failing_job_stops_no_other_and_is_run_again(qexp):
    command = ("-m", "sweep=s", "eval.episodes=2,0,3", "env.tasks=4", "plots=false", "tracking=off")
    ended = qexp(*command, "eval.baselines=[mct]")
    assert ended.status == 1
    folder = Path("outputs/sweeps/s")
    assert statuses(folder) == ["COMPLETED", "FAILED", "COMPLETED"]
    assert "eval.episodes=0" in rows(folder)[1]["error"]
    assert "FAILED: eval.episodes=0: must be greater than or equal to 1" in ended.out
    before = results(folder)
    again = qexp(*command, "eval.baselines=[mct]")
    assert again.status == 1
    assert again.out.count("done before") == 2
    changed = {name for name, result in results(folder).items() if result != before[name]}
    assert [name.partition("-")[0] for name in changed] == ["eval.episodes=0"]


@pytest.mark.slow
def test_a_changed_configuration_is_refused_with_the_difference(qexp):
    qexp(*SWEEP, "tracking=off")
    before = results(Path("outputs/sweeps/s"))
    ended = qexp(*SWEEP, "tracking=off", "env.tasks=5")
    assert ended.status == 2
    assert "env.tasks was 4, now 5" in ended.err
    assert "sweep=NAME" in ended.err
    assert results(Path("outputs/sweeps/s")) == before


@pytest.mark.slow
def test_more_values_join_a_sweep(qexp):
    qexp(*SWEEP, "tracking=off")
    ended = qexp(*SWEEP, "tracking=off", "seed=0,1,2")
    assert ended.status == 0
    assert ended.out.count("done before") == 4
    assert statuses(Path("outputs/sweeps/s")) == ["COMPLETED"] * 6


def test_a_single_run_is_no_sweep(qexp):
    ended = qexp("sweep=s", *QUICK)
    assert (ended.status, ended.err) == (2, "qexp: sweep=s names a multirun: run it with qexp -m\n")
    assert not Path("outputs").exists()


def test_a_sweep_resumes_no_run(qexp):
    ended = qexp("-m", "sweep=s", "resume=outputs/x", "seed=0,1")
    assert (ended.status, ended.err) == (2, "qexp: resume=outputs/x resumes one run: leave out -m\n")
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_a_mistyped_sweep_leaves_nothing_behind(qexp):
    for wrong, tracking in (("scheduler=mct,mtc", "local"), ("env.taks=1,2", "off")):
        ended = qexp("-m", "sweep=s", wrong, *QUICK, f"tracking={tracking}")
        assert ended.status == 2
        assert len(ended.err.splitlines()) == 1, ended.err
    assert not Path("outputs/sweeps/s").exists()


@pytest.mark.slow
def test_tables_and_figure_come_back_from_the_files_alone(qexp, python):
    qexp(*SWEEP, "tracking=off", "plots=true")
    folder = Path("outputs/sweeps/s")
    made = {
        name: (folder / name).read_bytes() for name in ("sweep.csv", "sweep_leaderboard.csv", "sweep.png")
    }
    for name in made:
        (folder / name).unlink()
    ended = python("-m", "qexp.report", folder, cwd=Path.cwd())
    assert ended.status == 0, ended.err
    assert "4 of 4 jobs completed" in ended.out
    assert {name: (folder / name).read_bytes() for name in made} == made
    ended = python("-m", "qexp.report", "nowhere", cwd=Path.cwd())
    assert ended.status == 2
    assert ended.err.startswith("qexp: nowhere is not the folder of a sweep")


@pytest.mark.slow
def test_without_plots_nothing_is_drawn(qexp):
    assert qexp(*SWEEP, "tracking=off").status == 0
    folder = Path("outputs/sweeps/s")
    assert (folder / "sweep_leaderboard.csv").is_file()
    assert list(Path().rglob("*.png")) == []
    assert qexp("report", str(folder)).status == 0
    assert (folder / "sweep.png").is_file()


@pytest.mark.slow
def test_jobs_share_one_evaluation_of_the_baselines(qexp):
    qexp("-m", "sweep=s", "scheduler=greedy,met", "eval.seed=7", *QUICK, "tracking=off")
    folder = Path("outputs/sweeps/s")
    assert len(list((folder / ".evaluations").iterdir())) == 1
    boards = [path.read_text() for path in sorted(folder.glob("*/episodes.csv"))]
    assert len(boards) == 2
    mct = [[line for line in board.splitlines() if line.startswith("mct")] for board in boards]
    assert mct[0] == mct[1] != []


@pytest.mark.slow
def test_jobs_side_by_side_give_the_same_tables(python, tmp_path):
    tables = []
    for launcher in ((), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")):
        cwd = tmp_path / str(len(launcher))
        cwd.mkdir()
        ended = python("-m", "qexp", *SWEEP, *launcher, cwd=cwd)
        assert ended.status == 0, ended.err
        assert ended.err == ""
        lines = [line for line in ended.out.splitlines() if line.startswith("job ") and "episode" in line]
        assert len(lines) == 4
        folder = cwd / "outputs/sweeps/s"
        tables.append([(folder / name).read_bytes() for name in ("sweep.csv", "sweep_leaderboard.csv")])
        with closing(connect(cwd / "outputs/mlflow.db")) as store:
            assert store.execute("select count(*) from runs where status = 'FINISHED'").fetchone() == (5,)
    assert tables[0] == tables[1]


LONGER = ("-m", "qexp", *SWEEP, "seed=0,1,2,3", "eval.episodes=40", "env.tasks=25")


@pytest.fixture(scope="module")
def unbroken(python, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("unbroken")
    return cwd, python(*LONGER, cwd=cwd)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [2.0, 4.0, 5.0, 6.5])
def test_killed_at_any_moment_it_ends_like_an_unbroken_one(python, tmp_path, unbroken, moment):
    process = subprocess.Popen(
        [sys.executable, *LONGER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(moment)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = python(*LONGER, cwd=tmp_path)
    assert again.status == 0, again.err
    cwd, expected = unbroken
    for name in ("sweep.csv", "sweep_leaderboard.csv"):
        file = Path("outputs/sweeps/s") / name
        assert (tmp_path / file).read_bytes() == (cwd / file).read_bytes()
    assert again.out[again.out.index("Jobs") :] == expected.out[expected.out.index("Jobs") :]


@pytest.mark.slow
def test_an_interrupt_shows_what_there_is_and_a_second_start_does_the_rest(python, tmp_path):
    command = ("-m", "qexp", *SWEEP, "seed=0,1,2,3,4,5", "eval.episodes=60", "env.tasks=25")
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = tmp_path / "outputs/sweeps/s"
    for _ in range(600):
        if len(list(folder.glob("*/result.json"))) >= 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == "qexp: interrupted\n"
    assert "of 12 jobs completed" in out
    assert "MISSING" in statuses(folder)
    with closing(connect(tmp_path / "outputs/mlflow.db")) as store:
        status = store.execute("select status from runs where name = 'sweep s'").fetchone()
    assert status == ("KILLED",)
    again = python(*command, cwd=tmp_path)
    assert again.status == 0, again.err
    assert set(statuses(folder)) == {"COMPLETED"}
    with closing(connect(tmp_path / "outputs/mlflow.db")) as store:
        assert store.execute("select status from runs where name = 'sweep s'").fetchall() == [("FINISHED",)]
