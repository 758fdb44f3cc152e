"""Where the jobs of a sweep write, whatever their folders are called, and what a sweep may vary."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from cases import quick_first

from qexp.sweep.job import place

QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]")
JOBS = ("scheduler=mct,weighted", "seed=0,1")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def assert_complete(ended, folder: Path, jobs: list[tuple[str, str]]) -> None:
    assert (ended.status, ended.err) == (0, ""), ended
    assert f"{len(jobs)} of {len(jobs)} jobs completed" in ended.out
    found = rows(folder)
    assert [(row["scheduler"], row["seed"], row["status"]) for row in found] == [
        (*job, "COMPLETED") for job in jobs
    ]
    for row in found:
        result = json.loads((folder / row["folder"] / "result.json").read_text(encoding="utf-8"))
        assert (result["options"]["scheduler"], str(result["seed"])) == (row["scheduler"], row["seed"])


FOUR = [("mct", "0"), ("mct", "1"), ("weighted", "0"), ("weighted", "1")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "subdir",
    quick_first(
        [
            "${hydra.job.num}",
            "a/${hydra.job.num}",
            "${hydra.job.override_dirname}",
            "${seed}/${hydra.runtime.choices.scheduler}",
            "../beside/${hydra.job.num}",
            "{tmp}/elsewhere/${hydra.job.num}",
            "${now:%H-%M-%S-%f}",
            "same",
            "${seed}",
            ".",
            # A folder around the sweep's, where other sweeps lie, is no job's.
            "..",
            "../..",
            '"mit Blank/ü ${hydra.job.num}"',
        ]
    ),
)
def test_jobs_are_found_whatever_their_folders_are_called(subdir, qexp, tmp_path):
    command = ("-m", "sweep=s", *QUICK, *JOBS, "hydra.sweep.subdir=" + subdir.replace("{tmp}", str(tmp_path)))
    folder = Path("outputs/sweeps/s")
    assert_complete(qexp(*command), folder, FOUR)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    assert len(before) == 4
    again = qexp(*command)
    assert again.out.count("done before") == 4
    assert_complete(again, folder, FOUR)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")} == before
    (folder / "sweep.csv").unlink()
    assert_complete(qexp("report", str(folder)), folder, FOUR)


@pytest.mark.slow
def test_a_number_that_goes_to_another_job_takes_no_folder_away(qexp):
    command = ("-m", "sweep=s", *QUICK, "hydra.sweep.subdir=${hydra.job.num}", "seed=0")
    folder = Path("outputs/sweeps/s")
    qexp(*command, "scheduler=mct,weighted")
    kept = (folder / "1" / "result.json").read_bytes()
    more = qexp(*command, "scheduler=mct,met,weighted")
    assert more.out.count("done before") == 2
    assert "job 1: scheduler=met: writes to outputs/sweeps/s/scheduler=met-" in more.out
    assert [row["status"] for row in rows(folder)] == ["COMPLETED"] * 3
    assert (folder / "1" / "result.json").read_bytes() == kept


@pytest.mark.parametrize(
    "own",
    quick_first([".jobs", ".evaluations/${hydra.job.num}", "sweep.json", "./sweep.csv/x", "multirun.yaml"]),
)
def test_a_job_does_not_write_over_the_sweeps_own_files(own, qexp):
    ended = qexp("-m", "sweep=s", *QUICK, *JOBS, f"hydra.sweep.subdir={own}")
    assert (ended.status, len(ended.err.splitlines())) == (2, 1), ended
    assert f"hydra.sweep.subdir={own}: " in ended.err
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("where", "reason"),
    quick_first([("file", "File exists"), ("file/s", "Not a directory"), ("x" * 300, "File name too long")]),
)
def test_a_folder_that_cannot_be_made_is_said_in_one_line(where, reason, qexp):
    Path("file").touch()
    ended = qexp("-m", *QUICK, *JOBS, f"hydra.sweep.dir={where}")
    assert (ended.status, ended.err) == (2, f"qexp: {where}: {reason}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", ["out", '"mit Blank/ü"', "{tmp}/out", "deep/../out/${eval.episodes}", "out/${oc.env:PWD}"]
)
def test_a_sweep_may_lie_anywhere(where, qexp, tmp_path):
    typed = where.replace("{tmp}", str(tmp_path))
    for _ in range(2):
        ended = qexp("-m", *QUICK, *JOBS, f"hydra.sweep.dir={typed}", "hydra.sweep.subdir=${hydra.job.num}")
        (file,) = tmp_path.rglob("sweep.json")
        assert_complete(ended, file.parent, FOUR)
    assert ended.out.count("done before") == 4


@pytest.mark.slow
def test_a_failed_job_in_a_folder_of_its_own_name_is_run_again(qexp):
    command = ("-m", "sweep=s", *QUICK, "eval.episodes=2,0", "hydra.sweep.subdir=${hydra.job.num}")
    ended = qexp(*command)
    assert (ended.status, "1 of 2 jobs completed" in ended.out) == (1, True)
    assert [row["status"] for row in rows(Path("outputs/sweeps/s"))] == ["COMPLETED", "FAILED"]
    assert qexp(*command).out.count("done before") == 1


@pytest.mark.slow
@pytest.mark.parametrize("subdir", ["${hydra.job.num}", "${hydra.job.override_dirname}", "same"])
def test_jobs_side_by_side_share_no_folder(subdir, python, tmp_path):
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    command = ("-m", "qexp", "-m", "sweep=s", *QUICK, *JOBS, f"hydra.sweep.subdir={subdir}", *launcher)
    for _ in range(2):
        assert_complete(python(*command, cwd=tmp_path), tmp_path / "outputs/sweeps/s", FOUR)


def test_a_job_keeps_its_folder_and_takes_no_other_jobs(tmp_path):
    sweep, ours, others = tmp_path / "sweep", ["seed=1"], ["seed=2"]
    first = place(sweep / "0", ours, sweep)
    assert first == sweep / "0"
    assert place(sweep / "1", ours, sweep) == first
    displaced = place(sweep / "0", others, sweep)
    assert displaced not in {first, sweep / "1"}
    assert place(sweep / "5", others, sweep) == displaced
    assert place(sweep, ["seed=3"], sweep) != sweep


@pytest.mark.parametrize(
    ("varied", "expected"),
    quick_first(
        [
            ("scheduler=glob(m*)", [{"scheduler": "mct"}, {"scheduler": "met"}]),
            ("scheduler=glob([mct,w*],exclude=none)", [{"scheduler": "mct"}, {"scheduler": "weighted"}]),
            ("env/workload=glob(*,exclude=csv)", [{"env/workload": "mqt50"}, {"env/workload": "qce"}]),
            ("seed=choice(3,1)", [{"seed": "3"}, {"seed": "1"}]),
            ("seed=range(1,5,2)", [{"seed": "1"}, {"seed": "3"}]),
            ("seed=sort(2,1)", [{"seed": "1"}, {"seed": "2"}]),
            ("seed=sort(1,2,reverse=true)", [{"seed": "2"}, {"seed": "1"}]),
            ("seed=tag(t,choice(1,2))", [{"seed": "1"}, {"seed": "2"}]),
            ("+seed=1", []),
            ("++seed=1,2", [{"seed": "1"}, {"seed": "2"}]),
            (
                "env.workload.families=[ghz],[ghz,qft]",
                [{"env.workload.families": "[ghz]"}, {"env.workload.families": "[ghz,qft]"}],
            ),
            (
                "tracking.run_name='a,b=c',\"it's (2)\"",
                [{"tracking.run_name": "'a,b=c'"}, {"tracking.run_name": '"it\'s (2)"'}],
            ),
        ]
    ),
)
def test_a_sweep_takes_all_of_hydras_grammar(varied, expected, qexp):
    options = [part for part in QUICK if not (varied.startswith("tracking.") and part == "tracking=off")]
    ended = qexp("-m", "sweep=s", *options, varied)
    if not expected:
        assert ended.status == 2
        return
    assert (ended.status, ended.err) == (0, ""), ended
    assert [{key: row[key] for key in expected[0]} for row in rows(Path("outputs/sweeps/s"))] == expected


@pytest.mark.slow
def test_shuffled_values_are_the_same_jobs(qexp):
    command = ("-m", "sweep=s", *QUICK, "seed=shuffle(range(0,4))")
    assert "4 of 4 jobs completed" in qexp(*command).out
    assert qexp(*command).out.count("done before") == 4


@pytest.mark.parametrize(
    ("varied", "words"),
    quick_first(
        [
            ("scheduler=glob(z*)", ["scheduler=glob(z*)", "mct", "weighted"]),
            ("seed=glob(*)", ["seed=glob(*)", "no config group"]),
            ("seed=interval(0,1)", ["seed=interval(0,1)", "hydra/sweeper=optuna", "range"]),
            ("seed=chose(0,1)", ["chose", "choice"]),
        ],
        2,
    ),
)
def test_what_cannot_be_swept_is_said_in_one_line(varied, words, qexp):
    ended = qexp("-m", *QUICK, varied)
    assert (ended.status, len(ended.err.splitlines())) == (2, 1), ended
    for word in words:
        assert word in ended.err
    assert "_schema" not in ended.err
    assert not Path("outputs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("sweeper", [(), ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=4")])
def test_an_interpolation_has_each_jobs_own_value(sweeper, qexp):
    if sweeper:
        pytest.importorskip("optuna", reason="the extra [search] is not installed")
    subdir = "hydra.sweep.subdir=${hydra.job.num}"
    command = (
        "-m",
        "sweep=s",
        *QUICK,
        *sweeper,
        "seed=3,4",
        "scheduler=glob(m*)",
        "eval.seed=${seed}",
        subdir,
    )
    ended = qexp(*command)
    assert (ended.status, ended.err) == (0, ""), ended
    found = sorted(Path("outputs/sweeps/s").glob("*/config.yaml"))
    assert found
    for file in found:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert config["eval"]["seed"] == config["seed"]
    if not sweeper:
        assert "4 of 4 jobs completed" in ended.out
        assert qexp(*command).out.count("done before") == 4


@pytest.mark.slow
def test_a_batch_of_no_jobs_is_refused(qexp):
    ended = qexp("-m", *QUICK, *JOBS, "hydra.sweeper.max_batch_size=0")
    assert (ended.status, ended.err) == (
        2,
        "qexp: hydra.sweeper.max_batch_size=0: must be at least 1, or null\n",
    )


@pytest.mark.slow
def test_tables_that_cannot_be_written_are_said_in_one_line(qexp):
    command = ("-m", "sweep=s", *QUICK, *JOBS)
    assert qexp(*command).status == 0
    Path("outputs/sweeps/s/sweep.csv").unlink()
    Path("outputs/sweeps/s/sweep.csv").mkdir()
    ended = qexp(*command)
    assert (ended.status, ended.err) == (1, "qexp: outputs/sweeps/s/sweep.csv: Is a directory\n")
