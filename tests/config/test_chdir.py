"""`hydra.job.chdir=true` moves neither the store nor the files that a command names."""

from __future__ import annotations

from pathlib import Path

import pytest

QUICK = ("plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]", "hydra.job.chdir=true")
MADE = {"inputs", "outputs", "run"}


@pytest.fixture
def inputs(qexp, write_dataset):
    """Overrides with relative paths of files in the current folder."""
    Path("inputs").mkdir()
    write_dataset(Path("inputs/tasks.csv"), [(0, "ghz", 3, {27: 10}), (1, "ghz", 3, {27: 10})])
    assert qexp("fleet", "snapshot", "fake", "inputs/fleet.yaml", "kolkata").status == 0
    files = ("backend.path=inputs/fleet.yaml", "env.workload.path=inputs/tasks.csv")
    return ("backend=file", "env/workload=csv", *files)


@pytest.mark.slow
def test_inputs_and_store_are_found_where_the_command_was_typed(qexp, inputs):
    here = Path.cwd()
    ended = qexp(*QUICK, *inputs, "hydra.run.dir=run")
    assert (ended.status, ended.err) == (0, ""), ended
    assert Path.cwd() == here
    assert {path.name for path in here.iterdir()} == MADE
    assert Path("outputs/mlflow.db").is_file()
    assert "run folder: run\n" in ended.out


@pytest.mark.slow
def test_so_they_are_in_a_sweep(qexp, inputs):
    ended = qexp("-m", "sweep=s", *QUICK, *inputs, "seed=0,1", "tracking.uri=sqlite:///store.db")
    assert (ended.status, ended.err) == (0, ""), ended
    assert "2 of 2 jobs completed" in ended.out
    assert [path.as_posix() for path in Path().rglob("*.db")] == ["store.db"]
    again = qexp("-m", "sweep=s", *QUICK, *inputs, "seed=0,1", "tracking.uri=sqlite:///store.db")
    assert again.out.count("done before") == 2


@pytest.mark.slow
def test_and_in_jobs_side_by_side(python, qexp, inputs):
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    ended = python("-m", "qexp", "-m", "sweep=s", *QUICK, *inputs, "seed=0,1", *launcher, cwd=Path.cwd())
    assert (ended.status, ended.err) == (0, ""), ended
    assert [path.as_posix() for path in Path().rglob("*.db")] == ["outputs/mlflow.db"]


@pytest.mark.slow
def test_what_is_refused_leaves_nothing_and_one_goes_on_from_where_one_was(qexp):
    here = Path.cwd()
    ended = qexp(*QUICK, "tracking=off", "env.tasks=0")
    assert (ended.status, len(ended.err.splitlines())) == (2, 1)
    assert (Path.cwd(), list(here.iterdir())) == (here, [])
    begun = qexp(*QUICK, "tracking=off", "deploy=simulator", "deploy.tasks=2", "hydra.run.dir=run")
    assert begun.status == 0, begun
    ended = qexp("resume=run", "hydra.job.chdir=true")
    assert ended.status == 2
    assert "this run is complete" in ended.err or "only tracking" in ended.err
