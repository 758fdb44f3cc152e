"""MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME: heeded where nothing else is said, without secrets."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest
import yaml
from cases import quick_first
from omegaconf import OmegaConf

from qexp.errors import InputError
from qexp.tracking.environment import store_in_environment
from qexp.tracking.local import apply_environment

QUICK = ("plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Nothing set, and nothing left behind."""
    for name in ("URI", "USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "")
    monkeypatch.setenv("PGPASSWORD", "")
    return monkeypatch


def runs(store: str) -> list[tuple[str, str]]:
    """Experiment and name of all runs of a store."""
    with closing(connect(store)) as database:
        query = (
            "select e.name, r.name from runs r join experiments e using (experiment_id) order by r.start_time"
        )
        return database.execute(query).fetchall()


@pytest.mark.slow
def test_a_run_is_recorded_where_the_environment_says_and_says_so(qexp, environment):
    environment.setenv("MLFLOW_TRACKING_URI", "sqlite:///team.db")
    environment.setenv("MLFLOW_EXPERIMENT_NAME", "field trip")
    ended = qexp(*QUICK, "hydra.run.dir=run")
    assert (ended.status, ended.err) == (0, "")
    assert "recorded in MLflow at sqlite:///team.db, experiment field trip\n" in ended.out
    assert [experiment for experiment, _ in runs("team.db")] == ["field trip"]
    assert not Path("outputs").exists()
    config = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    assert (config["tracking"]["uri"], config["tracking"]["experiment"]) == (
        "sqlite:///team.db",
        "field trip",
    )


@pytest.mark.slow
def test_so_are_a_sweep_and_its_jobs(qexp, environment):
    environment.setenv("MLFLOW_TRACKING_URI", "sqlite:///team.db")
    environment.setenv("MLFLOW_EXPERIMENT_NAME", "trip")
    ended = qexp("-m", "sweep=s", *QUICK, "seed=0,1")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.count("recorded in MLflow at sqlite:///team.db, experiment trip") == 1
    assert [experiment for experiment, _ in runs("team.db")] == ["trip"] * 3
    assert not Path("outputs/mlflow.db").exists()


@pytest.mark.parametrize(
    ("option", "uri", "experiment", "typed", "expected"),
    [
        ("local", "sqlite:///outputs/mlflow.db", "qexp", [], ("sqlite:///env.db", "env")),
        (
            "local",
            "sqlite:///outputs/mlflow.db",
            "qexp",
            ["tracking.uri=x"],
            ("sqlite:///outputs/mlflow.db", "env"),
        ),
        (
            "local",
            "sqlite:///outputs/mlflow.db",
            "qexp",
            ["++tracking.experiment=x"],
            ("sqlite:///env.db", "qexp"),
        ),
        ("local", "sqlite:///mine.db", "qexp", [], ("sqlite:///mine.db", "env")),
        ("local", "sqlite:///outputs/mlflow.db", "mine", [], ("sqlite:///env.db", "mine")),
        ("server", "???", "qexp", [], ("sqlite:///env.db", "env")),
        ("server", "https://ours", "mine", [], ("https://ours", "mine")),
    ],
)
def test_what_the_configuration_says_comes_first(option, uri, experiment, typed, expected, environment):
    environment.setenv("MLFLOW_TRACKING_URI", "sqlite:///env.db")
    environment.setenv("MLFLOW_EXPERIMENT_NAME", "env")
    config = OmegaConf.create({"tracking": {"uri": uri, "experiment": experiment}})
    apply_environment(config, ["seed=1", *typed])
    assert (config.tracking.uri, config.tracking.experiment) == expected


@pytest.mark.slow
def test_a_typed_address_wins_and_no_tracking_stays_none(qexp, environment):
    environment.setenv("MLFLOW_TRACKING_URI", "sqlite:///team.db")
    assert qexp(*QUICK, "tracking.uri=sqlite:///outputs/mlflow.db").status == 0
    assert len(runs("outputs/mlflow.db")) == 1
    ended = qexp(*QUICK, "tracking=off")
    assert (ended.status, "MLflow" in ended.out) == (0, False)
    assert not Path("team.db").exists()


@pytest.mark.slow
def test_sync_delivers_where_the_environment_says_unless_told_otherwise(qexp, environment):
    assert qexp(*QUICK, "tracking=off", "hydra.run.dir=run").status == 0
    environment.setenv("MLFLOW_TRACKING_URI", "sqlite:///team.db")
    environment.setenv("MLFLOW_EXPERIMENT_NAME", "trip")
    assert "delivered" in qexp("sync", "run").out
    assert [experiment for experiment, _ in runs("team.db")] == ["trip"]
    assert qexp("sync", "run", "--uri", "sqlite:///other.db", "--experiment", "own").status == 0
    assert [experiment for experiment, _ in runs("other.db")] == ["own"]
    assert "nothing to deliver" in qexp("sync", "run").out


@pytest.mark.slow
def test_a_run_of_a_store_of_its_own_is_delivered_there(qexp, environment):
    assert qexp(*QUICK, "tracking.uri=sqlite:///own.db", "hydra.run.dir=run").status == 0
    environment.setenv("MLFLOW_TRACKING_URI", "sqlite:///team.db")
    assert "nothing to deliver" in qexp("sync", "run").out
    assert not Path("team.db").exists()


@pytest.mark.parametrize(
    ("uri", "clean", "moved"),
    [
        ("https://kim:s%40cret@host:5000/x", "https://host:5000/x", ("MLFLOW_TRACKING_PASSWORD", "s@cret")),
        ("http://kim:secret@[::1]:5000", "http://[::1]:5000", ("MLFLOW_TRACKING_USERNAME", "kim")),
        ("postgresql://kim:secret@host/db", "postgresql://kim@host/db", ("PGPASSWORD", "secret")),
        ("postgresql+psycopg://kim@host/db", "postgresql+psycopg://kim@host/db", ("PGPASSWORD", "")),
        ("sqlite:////data/team.db", "sqlite:////data/team.db", ("PGPASSWORD", "")),
    ],
)
def test_a_password_is_moved_out_of_the_address(uri, clean, moved, environment):
    environment.setenv("MLFLOW_TRACKING_URI", uri)
    assert store_in_environment() == clean
    assert os.environ[moved[0]] == moved[1]


@pytest.mark.parametrize(
    "uri", ["mysql://kim:s3cret@host/db", "postgresql://host/db?password=s3cret", "http://[s3cret"]
)
def test_an_address_whose_password_has_nowhere_to_go_is_refused_without_it(uri, environment):
    environment.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI") as refused:
        store_in_environment()
    assert "s3cret" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("uri", quick_first(["databricks", "/srv/mlruns", "file:///srv/mlruns"]))
def test_what_is_no_store_is_refused_in_one_line(uri, qexp, environment):
    environment.setenv("MLFLOW_TRACKING_URI", uri)
    for arguments in (QUICK, ("-m", *QUICK, "seed=0,1")):
        ended = qexp(*arguments)
        assert (ended.status, len(ended.err.splitlines())) == (2, 1)
        assert f"MLFLOW_TRACKING_URI={uri}" in ended.err
    assert qexp(*QUICK, "tracking=off").status == 0


@pytest.mark.slow
def test_a_password_leaks_nowhere(qexp, environment):
    environment.setenv("MLFLOW_TRACKING_URI", "http://kim:s3cret@127.0.0.1:9/")
    for arguments in (
        (*QUICK, "hydra.run.dir=run"),
        (*QUICK, "tracking=server"),
        ("-m", "sweep=s", *QUICK, "seed=0,1"),
    ):
        ended = qexp(*arguments)
        assert ended.status == 2
        assert ended.err.startswith("qexp: tracking.uri=http://127.0.0.1:9/ cannot be used")
        assert "s3cret" not in ended.out + ended.err
    assert qexp(*QUICK, "tracking=off", "hydra.run.dir=run").status == 0
    ended = qexp("sync", "run")
    assert ended.status == 2
    assert "s3cret" not in ended.out + ended.err
    files = [path for path in Path().rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"s3cret" in path.read_bytes()]
