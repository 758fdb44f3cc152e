"""Tracking against real SQLite stores, read back with MLflow's own client."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from policies import observations

from qexp.errors import InputError
from qexp.policy import load_policy
from qexp.tracking import Local


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Address of one store for the tests of this module: creating one takes a second."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'a folder' / 'mlflow.db'}"


@pytest.fixture
def read(store):
    """A client to look into the store with, once it exists."""

    def client():
        from mlflow import MlflowClient

        return MlflowClient(store)

    return client


def run_python(code, *arguments, **settings):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def test_off_takes_everything_and_never_imports_mlflow(tmp_path):
    code = """
import sys
from pathlib import Path
from qexp.tracking import Off
with Off().start("name") as tracker:
    tracker.log_params({"a": {"b": 1}})
    tracker.set_tags({"seed": 0})
    tracker.log_metrics({"train/loss": 1.0}, 3)
    tracker.log_artifacts(Path("nowhere"))
    tracker.log_policy(Path("nowhere"), {})
    print(tracker.run_id, {"mlflow", "torch", "pandas"} & set(sys.modules))
"""
    process = run_python(code, cwd=tmp_path)
    assert process.communicate() == ("None set()\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_run_can_be_read_back(store, read, tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "curve.png").write_bytes(b"png")
    (tmp_path / "result.json").write_text("{}")
    with Local(uri=store).start("a2c-seed3") as tracker:
        tracker.log_params(
            {
                "seed": 3,
                "env": {
                    "mask": True,
                    "window": None,
                    "families": ["ae", "qft"],
                    "arrivals": {"name": "poisson"},
                },
            }
        )
        tracker.set_tags({"git_commit": None, "algo": "a2c", "seed": 3})
        for step in range(3):
            tracker.log_metrics(
                {"train/total_completion_time_mean": 700.0 - step, "train/entropy": 0.5}, step
            )
        tracker.log_metrics({"eval/a2c/total_completion_time_mean": 553.25})
        tracker.log_artifacts(tmp_path / "result.json")
        tracker.log_artifacts(tmp_path / "plots", "plots")

    client = read()
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "a2c-seed3")
    assert client.get_experiment(run.info.experiment_id).name == "qexp"
    assert run.data.params == {
        "seed": "3",
        "env.mask": "true",
        "env.window": "null",
        "env.families": '["ae", "qft"]',
        "env.arrivals.name": "poisson",
    }
    assert (run.data.tags["algo"], run.data.tags["seed"]) == ("a2c", "3")
    assert "git_commit" not in run.data.tags
    assert run.data.metrics["eval/a2c/total_completion_time_mean"] == 553.25
    history = client.get_metric_history(tracker.run_id, "train/total_completion_time_mean")
    assert [(point.step, point.value) for point in history] == [(0, 700.0), (1, 699.0), (2, 698.0)]
    assert [item.path for item in client.list_artifacts(tracker.run_id)] == ["plots", "result.json"]
    assert [item.path for item in client.list_artifacts(tracker.run_id, "plots")] == ["plots/curve.png"]


@pytest.mark.slow
def test_everything_lies_under_outputs_of_the_working_directory_by_default(tmp_path, bundle, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    with Local().start() as tracker:
        monkeypatch.chdir(elsewhere)  # a run that changes directory must not lose its store
        tracker.log_metrics({"x": 1.0})
        tracker.log_artifacts(bundle / "policy.json")
        tracker.log_policy(bundle, observations(2, 5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "outputs"]
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["mlartifacts", "mlflow.db"]
    assert len(list((tmp_path / "outputs" / "mlartifacts").rglob("policy.json"))) == 2
    assert list(elsewhere.iterdir()) == []


def test_undefined_metrics_are_left_out_and_long_values_cut(store, read):
    with Local(uri=store).start() as tracker:
        tracker.log_params({"long": "x" * 10_000})
        tracker.set_tags({"long": "x" * 10_000})
        tracker.log_metrics({"a": None, "b": float("nan"), "c": float("inf"), "d": np.float32(0.5)})
    run = read().get_run(tracker.run_id)
    assert run.data.metrics == {"d": 0.5}
    assert len(run.data.params["long"]) == 6000
    assert len(run.data.tags["long"]) == 8000


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("bug"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "FAILED")],
)
def test_a_run_that_does_not_end_well_says_so_and_keeps_its_metrics(store, read, error, status):
    ids = []

    def work():
        with Local(uri=store).start() as tracker:
            ids.append(tracker.run_id)
            tracker.log_metrics({"train/loss": 2.0}, 1)
            raise error

    with pytest.raises(type(error)):
        work()
    run = read().get_run(ids[0])
    assert (run.info.status, run.data.metrics) == (status, {"train/loss": 2.0})
    assert run.info.end_time is not None


def test_metrics_reach_the_store_while_the_run_goes_on(store, read, monkeypatch):
    monkeypatch.setattr("qexp.tracking.mlflow_tracker._FLUSH_SECONDS", 0.0)
    with Local(uri=store).start() as tracker:
        tracker.log_metrics({"train/loss": 2.0}, 1)
        assert read().get_run(tracker.run_id).data.metrics == {"train/loss": 2.0}


def test_a_sweep_nests_its_jobs_under_its_own_run(store, read, monkeypatch):
    with Local(uri=store).start("sweep") as parent:
        monkeypatch.setenv("QEXP_PARENT_RUN_ID", parent.run_id)
        with Local(uri=store).start("job") as child:
            pass
    assert read().get_parent_run(child.run_id).info.run_id == parent.run_id
    assert "mlflow.parentRunId" not in read().get_run(parent.run_id).data.tags


def test_the_callers_own_mlflow_is_left_alone(store, bundle, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    theirs = f"sqlite:///{tmp_path / 'theirs.db'}"
    for before in (None, theirs):
        mlflow.set_tracking_uri(before)
        with Local(uri=store).start() as tracker:
            assert mlflow.active_run() is None
            tracker.log_policy(bundle, observations(2, 5))
        assert os.environ.get("MLFLOW_TRACKING_URI") == before
        assert mlflow.is_tracking_uri_set() == (before is not None)
    mlflow.set_tracking_uri(None)


def test_the_policy_is_a_model_that_loads_back_and_decides_the_same(store, read, bundle):
    import mlflow

    with Local(uri=store).start() as tracker:
        tracker.log_metrics({"eval/a2c/total_completion_time_mean": 553.0})
        tracker.log_policy(bundle, observations(4, 5))
    client = read()
    run = client.get_run(tracker.run_id)
    (output,) = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, logged.status.value, logged.source_run_id) == ("policy", "READY", tracker.run_id)
    assert logged.experiment_id == run.info.experiment_id
    assert [metric.key for metric in logged.metrics] == ["eval/a2c/total_completion_time_mean"]

    folder = logged.artifact_location.removeprefix("file://").replace("%20", " ")
    model = mlflow.pyfunc.load_model(folder)
    assert model.metadata.get_input_schema().input_names() == ["task", "nodes", "action_mask"]
    assert model.input_example["nodes"].shape == (4, 5, observations(1, 5)["nodes"].shape[-1])
    policy = load_policy(bundle)
    for batch, nodes in ((1, 5), (7, 13)):
        seen = observations(batch, nodes)
        chosen = model.predict(seen)
        assert chosen.tolist() == policy.decide(seen["task"], seen["nodes"], seen["action_mask"]).tolist()
        assert seen["action_mask"][np.arange(batch), chosen].all()
    suffixes = {path.rsplit(".", 1)[-1] for _, _, names in os.walk(folder) for path in names}
    assert suffixes <= {"MLmodel", "json", "safetensors", "txt", "yaml", "registered_model_meta"}
    assert client.search_registered_models() == []


def test_registering_adds_a_version_of_one_model(store, read, bundle):
    tracking = Local(uri=store, experiment="registered", register=True, model_name="placement")
    runs = []
    for _ in range(2):
        with tracking.start() as tracker:
            tracker.log_policy(bundle, observations(2, 5))
        runs.append(tracker.run_id)
    versions = read().search_model_versions("name='placement'")
    assert [(version.version, version.run_id) for version in reversed(versions)] == [
        (1, runs[0]),
        (2, runs[1]),
    ]
    assert int(read().get_model_version_by_alias("placement", "newest").version) == 2
    read().delete_registered_model("placement")


@pytest.mark.parametrize(
    "uri",
    [
        "./mlruns",
        "file:///tmp/mlruns",
        "nosuch://store",
        "postgresql+nosuchdriver://localhost/mlflow",
        "http://127.0.0.1:9",
        "sqlite:////proc/nowhere/mlflow.db",
        "sqlite:///{tmp}",
        "sqlite:///{tmp}/notes.txt",
        "sqlite:///{tmp}/notes.txt/mlflow.db",
    ],
)
def test_a_store_that_cannot_be_used_is_an_input_error_in_one_line(uri, tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, by far " * 100)
    uri = uri.format(tmp=tmp_path)
    before = dict(os.environ)
    with pytest.raises(InputError) as caught, Local(uri=uri).start():
        pytest.fail("training would have begun")
    assert str(caught.value).startswith(f"tracking.uri={uri} ")
    assert "\n" not in str(caught.value)
    assert {key: value for key, value in os.environ.items() if key.startswith("MLFLOW_HTTP")} == {
        key: value for key, value in before.items() if key.startswith("MLFLOW_HTTP")
    }


def test_a_deleted_experiment_is_an_input_error(store, read):
    with Local(uri=store, experiment="old").start():
        pass
    read().delete_experiment(read().get_experiment_by_name("old").experiment_id)
    with (
        pytest.raises(InputError, match=r"tracking\.experiment=old was deleted"),
        Local(uri=store, experiment="old").start(),
    ):
        pytest.fail("training would have begun")


@pytest.mark.slow
def test_runs_that_start_at_once_share_a_new_store_and_say_only_where(tmp_path):
    code = """
import sys, time
from pathlib import Path
from qexp.tracking import Local
from qexp.tracking.environment import quiet
with quiet():
    import mlflow
go, here = Path("go"), Path(f"ready-{sys.argv[1]}")
here.touch()
while not go.exists():
    time.sleep(0.002)
with Local().start(sys.argv[1]) as tracker:
    tracker.log_metrics({"x": 1.0})
"""
    processes = [run_python(code, str(k), cwd=tmp_path) for k in range(2)]
    while sum(1 for _ in tmp_path.glob("ready-*")) < len(processes):
        assert all(process.poll() is None for process in processes), processes[0].communicate()
        time.sleep(0.05)
    (tmp_path / "go").touch()
    said = "recorded in MLflow at sqlite:///outputs/mlflow.db, experiment qexp\n"
    assert [process.communicate() for process in processes] == [(said, "")] * len(processes)

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'outputs' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("qexp").experiment_id])
    assert sorted((run.info.run_name, run.info.status) for run in runs) == [
        (str(k), "FINISHED") for k in range(2)
    ]
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["mlflow.db"]
