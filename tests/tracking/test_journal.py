"""What a run folder keeps for later, and what `python -m qexp.tracking sync` makes of it."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from qexp.errors import InputError
from qexp.tracking import Local, Off, Server
from qexp.tracking.journal import JOURNAL, Journal
from qexp.tracking.sync import sync

TINY = ("plots=false", "env.tasks=4", "eval.episodes=2", "eval.baselines=[mct]")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('journal') / 'mlflow.db'}"


@pytest.fixture
def unreachable(monkeypatch):
    """Let MLflow's client fail from now on; gives the list of attempts, and how to mend it."""
    from mlflow import MlflowClient, MlflowException

    attempts = []

    def fail(*_, **__):
        attempts.append(1)
        raise MlflowException("API request failed: [Errno 111] Connection refused, Max retries exceeded")

    with monkeypatch.context() as patch:
        for name in ("log_batch", "log_artifact", "log_artifacts", "set_terminated"):
            patch.setattr(MlflowClient, name, fail)
        yield attempts, patch.undo


def told(tracker, folder, points=3):
    """Tell a tracker what a run would."""
    (folder / "plots").mkdir(exist_ok=True)
    (folder / "plots" / "curve.png").write_bytes(b"png")
    (folder / "result.json").write_text("{}")
    tracker.log_params({"seed": 1, "env": {"_target_": "qexp.env.Scenario", "tasks": 5}})
    tracker.log_params({"env": "placement"})
    tracker.set_tags({"seed": 1})
    for step in range(points):
        tracker.log_metrics({"train/loss": 1.0 / (step + 1), "train/entropy": None}, step)
    tracker.log_artifacts(folder / "result.json")
    tracker.log_artifacts(folder / "plots", "plots")


@pytest.mark.slow
def test_a_store_that_goes_away_costs_one_warning_and_sync_delivers(
    store, unreachable, snapshot, tmp_path, caplog
):
    attempts, mend = unreachable
    with Local(uri=store, experiment="away").start("name", folder=tmp_path) as tracker:
        told(tracker, tmp_path)
    assert len(attempts) == 2, "once when it was first needed, once at the end"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning == (
        f"tracking: not delivered to {store} (no server answers there: Connection refused): 3 parameters, "
        f"1 tags, 3 metric values, 2 artifacts, the end of the run; "
        f"deliver it with: python -m qexp.tracking sync {tmp_path}"
    )
    mend()
    done = sync(tmp_path)
    assert (done.run_id, done.uri, done.ended) == (tracker.run_id, store, True)
    seen = snapshot(store, tracker.run_id)
    assert (seen["name"], seen["status"]) == ("name", "FINISHED")
    assert seen["params"] == {"seed": "1", "env.tasks": "5", "env": "placement"}
    assert [(step, value) for step, _, value in seen["metrics"]["train/loss"]] == [
        (0, 1.0),
        (1, 0.5),
        (2, 1 / 3),
    ]
    assert seen["artifacts"] == [("plots/curve.png", 3), ("result.json", 2)]
    assert sync(tmp_path).what == ""
    assert snapshot(store, tracker.run_id) == seen


@pytest.mark.slow
def test_a_store_that_comes_back_gets_everything_by_itself(
    store, unreachable, snapshot, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("qexp.tracking.mlflow_tracker._PAUSE_SECONDS", 0.0)
    _, mend = unreachable
    with Local(uri=store).start(folder=tmp_path) as tracker:
        tracker.log_params({"seed": 1})
        mend()
        tracker.log_metrics({"x": 1.0})
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
    seen = snapshot(store, tracker.run_id)
    assert (seen["params"], list(seen["metrics"]), seen["status"]) == ({"seed": "1"}, ["x"], "FINISHED")


def test_failures_may_cost_a_run_only_so_much_time(store, unreachable, monkeypatch):
    monkeypatch.setattr("qexp.tracking.mlflow_tracker._PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("qexp.tracking.mlflow_tracker._PATIENCE_SECONDS", 1e-9)
    attempts, _ = unreachable
    with Local(uri=store).start() as tracker:
        for seed in range(20):
            tracker.set_tags({"seed": seed})
    assert len(attempts) == 1


def test_without_a_run_folder_the_warning_promises_nothing(store, unreachable, caplog):
    with Local(uri=store).start() as tracker:
        tracker.set_tags({"seed": 1})
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.endswith("1 tags, the end of the run")


def test_a_run_is_continued_in_its_own_mlflow_run(store, snapshot, tmp_path):
    with suppress(KeyboardInterrupt), Local(uri=store).start("first", folder=tmp_path) as tracker:
        tracker.log_params({"seed": 1, "resume": "null"})
        tracker.log_metrics({"train/loss": 2.0}, 1)
        raise KeyboardInterrupt
    assert snapshot(store, tracker.run_id)["status"] == "KILLED"
    with Local(uri=store).start("second", run_id=tracker.run_id, folder=tmp_path) as again:
        assert again.run_id == tracker.run_id
        assert snapshot(store, tracker.run_id)["status"] == "RUNNING"
        again.log_params({"seed": 1, "resume": "run", "new": True})
        again.log_metrics({"train/loss": 1.0}, 2)
    seen = snapshot(store, tracker.run_id)
    assert (seen["name"], seen["status"]) == ("first", "FINISHED")
    assert seen["params"] == {"seed": "1", "resume": "null", "new": "true"}
    assert [(step, value) for step, _, value in seen["metrics"]["train/loss"]] == [(1, 2.0), (2, 1.0)]


def test_a_continued_run_first_delivers_what_it_could_not_before(
    store, unreachable, snapshot, tmp_path, caplog
):
    _, mend = unreachable
    with Local(uri=store).start(folder=tmp_path) as tracker:
        tracker.log_metrics({"train/loss": 2.0}, 1)
    mend()
    with Local(uri=store).start(run_id=tracker.run_id, folder=tmp_path) as again:
        again.log_metrics({"train/loss": 1.0}, 2)
    seen = snapshot(store, tracker.run_id)
    assert [(step, value) for step, _, value in seen["metrics"]["train/loss"]] == [(1, 2.0), (2, 1.0)]


def test_a_run_the_store_does_not_have_cannot_be_continued(store):
    with (
        pytest.raises(InputError, match=r"has no run 0123456789abcdef0123456789abcdef to continue"),
        Local(uri=store).start(run_id="0123456789abcdef0123456789abcdef"),
    ):
        pytest.fail("training would have begun")


@pytest.mark.slow
def test_an_untracked_run_can_be_delivered_later(qexp, store, snapshot, tmp_path):
    folder = tmp_path / "run"
    assert qexp("tracking=off", *TINY, "scheduler=weighted", f"hydra.run.dir={folder}").status == 0
    with pytest.raises(InputError, match=r"made with tracking=off; say where to deliver it with --uri URI"):
        sync(folder)
    done = sync(folder, store, "delivered later")
    seen = snapshot(store, done.run_id)
    assert (seen["experiment"], seen["name"]) == ("delivered later", "weighted-4tasks-seed0")
    assert seen["status"] == "FINISHED"
    assert seen["params"]["scheduler"] == seen["tags"]["scheduler"] == "weighted"
    assert seen["metrics"]["eval/weighted/episodes"][0][2] == 2
    assert ("result.json", (folder / "result.json").stat().st_size) in seen["artifacts"]
    again = sync(folder, store, "delivered later")
    assert (again.run_id, again.what) == (done.run_id, "")
    assert snapshot(store, done.run_id) == seen


@pytest.mark.slow
def test_a_tracked_run_can_be_copied_to_another_store(store, snapshot, tmp_path):
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with Local(uri=store).start("one", folder=tmp_path) as tracker:
        told(tracker, tmp_path)
    copy = sync(tmp_path, other)
    assert copy.run_id != tracker.run_id
    mine, theirs = snapshot(store, tracker.run_id), snapshot(other, copy.run_id)
    for key in ("name", "status", "times", "params", "metrics", "artifacts"):
        assert mine[key] == theirs[key]
    assert (sync(tmp_path, other).run_id, sync(tmp_path).run_id) == (copy.run_id, tracker.run_id)


def test_a_half_written_last_line_spoils_nothing(tmp_path):
    with Off().start("name", folder=tmp_path) as tracker:
        tracker.log_metrics({"x": 1.0})
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"metrics":{"x":2.0},"st')
    journal = Journal.read(tmp_path)
    assert [next(iter(record)) for record in journal.contents] == ["metrics", "end"]
    journal.add({"delivered": 2, "to": "id"})
    assert Journal.read(tmp_path).delivered == {"id": 2}


def test_a_run_in_the_same_folder_begins_a_new_journal(tmp_path):
    for value in (1.0, 2.0):
        with Off().start(folder=tmp_path) as tracker:
            tracker.log_metrics({"x": value})
    assert [record["metrics"] for record in Journal.read(tmp_path).contents[:-1]] == [{"x": 2.0}]


def test_the_command_names_a_folder_that_is_no_run(python, tmp_path):
    ended = python("-m", "qexp.tracking", "sync", tmp_path, tmp_path / "nowhere", cwd=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"qexp: {folder}: not the folder of a run: it has no tracking.jsonl"
        for folder in (tmp_path, tmp_path / "nowhere")
    ]


@pytest.mark.parametrize(
    ("tracking", "uri"),
    [
        (Server, "https://kim:s3cret@mlflow.example.org"),
        (Server, "http://s3cret@mlflow.example.org"),
        (Local, "https://kim:s3cret@mlflow.example.org"),
        (Local, "postgresql://kim:s3cret@db.example.org/mlflow"),
        (Local, "postgresql://db.example.org/mlflow?password=s3cret"),
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(tracking, uri):
    with pytest.raises(InputError) as caught, tracking(uri=uri).start():
        pytest.fail("training would have begun")
    text = str(caught.value)
    assert text.startswith("tracking.uri: leave user name and password out")
    assert "s3cret" not in text
    assert "\n" not in text


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "mlflow.example.org", "postgresql://db/mlflow"])
def test_a_server_is_an_http_address(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(InputError, match=r"tracking=server needs the address of one"),
        Server(uri=uri).start(),
    ):
        pytest.fail("training would have begun")


@pytest.mark.slow
def test_refused_input_leaves_no_journal_behind(qexp, tmp_path):
    ended = qexp("tracking=server", "tracking.uri=http://kim:s3cret@localhost", *TINY)
    assert (ended.status, ended.out) == (2, "")
    assert "s3cret" not in ended.err
    assert list((tmp_path / "cwd").iterdir()) == []
    assert qexp("tracking=server", *TINY).err == "qexp: tracking.uri: needs a value: set tracking.uri\n"


def test_a_journal_is_plain_json(tmp_path):
    with Off().start("name", folder=tmp_path) as tracker:
        told(tracker, tmp_path, points=1)
    lines = [json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines()]
    assert [next(iter(line)) for line in lines] == [
        *("run", "params", "params", "tags", "metrics", "artifacts", "artifacts", "end")
    ]
    assert (lines[5]["artifacts"], lines[6]["artifacts"]) == ("result.json", "plots")


@pytest.mark.slow
def test_a_new_store_is_made_quietly_by_whoever_imported_mlflow_first(python, tmp_path):
    script = """
import logging, mlflow
logging.getLogger("mlflow").setLevel(logging.INFO)
from mlflow import MlflowClient
from qexp.tracking.environment import quiet
with quiet():
    MlflowClient("sqlite:///new.db").search_experiments()
assert logging.getLogger("mlflow").level == logging.INFO
"""
    ended = python("-c", script, cwd=tmp_path)
    assert (ended.status, ended.out, ended.err) == (0, "", "")
