"""``resume=FOLDER``: a killed run goes on where it was, and what cannot be resumed is refused in one line."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pandas as pd
import pytest
import yaml
from cases import quick_first
from commands import complete, result_of, start, wait_until
from rich.console import Console

from qexp.config.identity import config_hash
from qexp.errors import InputError
from qexp.runfolder import RunFolder
from qexp.stages.resume import unfinished

QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]")
A2C = (
    *("algo=a2c", "algo.env_steps=30000", "algo.prior=0", "algo.checkpoint_every=40", "plots=false"),
    *("eval.episodes=5", "eval.baselines=[mct]"),
)


@pytest.fixture
def begun(qexp, tmp_path: Path) -> Path:
    """The folder of a training run that was killed before its first checkpoint."""
    folder = tmp_path / "run"
    composed = qexp(*QUICK, "algo=a2c", "--cfg", "job", "--resolve").out
    folder.mkdir()
    (folder / "config.yaml").write_text(composed, encoding="utf-8")
    versions = {"qexp": "0", "ray": "0", "torch": "0"}
    content = {"config_hash": config_hash(yaml.safe_load(composed)), "fleet_hash": "sha256:0"}
    (folder / "run.json").write_text(json.dumps({**content, "versions": versions, "mlflow_run_id": None}))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "qexp.log")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def assert_refused(ended, *words: str) -> None:
    assert ended.status == 2, ended
    assert re.fullmatch(r"qexp: [^\n]+\n", ended.err), ended.err
    for word in words:
        assert word in ended.err


@pytest.mark.parametrize(
    ("override", "words"),
    quick_first(
        [
            ("seed=1", ["seed=1", "own configuration", "tracking"]),
            ("algo=dqn", ["algo=dqn", "own configuration"]),
            ("eval.episodes=9", ["eval.episodes=9", "own configuration"]),
            ("hydra.run.dir=elsewhere", ["hydra.run.dir=elsewhere", "own configuration"]),
            ("deploy=ibm", ["deploy=ibm", "own configuration", "deploy.{confirm,max_jobs"]),
            (
                "deploy.tasks=9",
                ["deploy.tasks=9", "own configuration", "max_quantum_seconds,patience} may be"],
            ),
            ("env.initial_backlog=5", ["env.initial_backlog=5", "own configuration"]),
            (
                "tracking.uri=nowhere",
                ["tracking.uri"],
            ),  # it was started with tracking=off, which has no such key
            ("tracking=off", ["backend", "fleet has changed"]),  # accepted; what is wrong is something else
        ],
        3,
    ),
)
def test_a_run_is_resumed_with_its_own_configuration(override, words, qexp, begun):
    before = contents(begun)
    assert_refused(qexp(f"resume={begun}", override), *words)
    assert contents(begun) == before
    assert not Path("outputs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    quick_first(
        [
            ("config.yaml", "seed: 0", "seed: 5", ["config.yaml was changed"]),
            ("config.yaml", "algo:", "algo: [", ["config.yaml cannot be read"]),
            ("run.json", '"config_hash"', '"another"', ["run.json"]),
            ("run.json", "{", "", ["not the folder of a run"]),
        ],
        2,
    ),
)
def test_a_folder_that_was_tampered_with_is_refused(name, old, new, words, qexp, begun):
    text = (begun / name).read_text(encoding="utf-8")
    (begun / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    before = contents(begun)
    assert_refused(qexp(f"resume={begun}"), *words)
    assert contents(begun) == before


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_what_is_no_run_is_refused_and_left_alone(folder, qexp):
    Path("mine.txt").touch()
    assert_refused(qexp(f"resume={folder}"), "not the folder of a run", folder)
    assert [path.name for path in Path().iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_a_complete_run_and_one_without_training_are_refused(qexp, tmp_path):
    folder = tmp_path / "heuristics"
    assert qexp(*QUICK, f"hydra.run.dir={folder}").status == 0
    before = contents(folder)
    assert_refused(qexp(f"resume={folder}"), "complete", "leaderboard.csv")
    assert contents(folder) == before
    (folder / "result.json").unlink()
    assert_refused(qexp(f"resume={folder}"), "trains nothing")


def test_only_an_unfinished_run_of_the_same_configuration_is_gone_on_with(begun, capsys):
    hash_ = json.loads((begun / "run.json").read_text())["config_hash"]
    versions = {"qexp": "0", "ray": "0", "torch": "1"}
    same = {"config_hash": hash_, "fleet_hash": "sha256:0", "versions": versions}
    folder, console = RunFolder(begun), Console(width=200)
    resolved = yaml.safe_load((begun / "config.yaml").read_text())
    assert unfinished(folder, resolved, same, console)["config_hash"] == hash_
    assert capsys.readouterr().out == "note: the run began with other versions: torch 0 then, 1 now\n"
    with pytest.raises(InputError, match="fleet has changed"):
        unfinished(folder, resolved, {**same, "fleet_hash": "sha256:1"}, console)
    assert unfinished(folder, {**resolved, "seed": 77}, same, console) == {}
    folder.write_json("result.json", {"status": "KILLED"})
    assert unfinished(folder, resolved, same, console)
    folder.write_json("result.json", {"status": "COMPLETED"})
    assert unfinished(folder, resolved, same, console) == {}
    folder.forget_run()
    assert unfinished(folder, resolved, same, console) == {}


def kill_in_training(*arguments, cwd, seconds=150):
    """Start a run in the folder `run` and kill it after it has gone on for a while from a checkpoint."""
    process = start(*arguments, "hydra.run.dir=run", cwd=cwd)
    try:
        folder = cwd / "run"
        wait_until(lambda: list(folder.glob("checkpoints/iteration_*")), seconds, process)
        lines = (folder / "tracking.jsonl").read_bytes().count(b"\n")
        wait_until(lambda: (folder / "tracking.jsonl").read_bytes().count(b"\n") > lines + 5, 30, process)
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    assert not (cwd / "run" / "result.json").exists()


@pytest.mark.ray
def test_a_killed_run_ends_as_one_that_was_not(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    complete(*A2C, "tracking=off", "hydra.run.dir=run", cwd=whole)
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    kill_in_training(*A2C, f"tracking.uri={store}", cwd=parts)
    folder = parts / "run"
    begun = json.loads((folder / "run.json").read_text())
    typed = (folder / ".hydra" / "overrides.yaml").read_bytes()
    (newest,) = sorted(folder.glob("checkpoints/iteration_*"))[-1:]

    out = complete("resume=run", cwd=parts)
    assert f"training continues from {newest.name}" in out
    for name in ("leaderboard.csv", "episodes.csv", "policy/policy.safetensors"):
        assert (folder / name).read_bytes() == (whole / "run" / name).read_bytes()
    history, unbroken = (pd.read_csv(path / "training.csv") for path in (folder, whole / "run"))
    clock = ["seconds"]
    pd.testing.assert_frame_equal(history.drop(columns=clock), unbroken.drop(columns=clock), check_exact=True)
    assert history["seconds"].is_monotonic_increasing
    # One run folder, one MLflow run.
    assert {path.name for path in parts.iterdir()} == {"run"}
    assert (folder / ".hydra" / "overrides.yaml").read_bytes() == typed
    result = result_of(folder)
    assert result["mlflow_run_id"] == begun["mlflow_run_id"]
    assert result["config_hash"] == begun["config_hash"]

    from mlflow import MlflowClient

    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("qexp").experiment_id])
    assert (run.info.run_id, run.info.status) == (begun["mlflow_run_id"], "FINISHED")
    logged = client.get_metric_history(run.info.run_id, "train/loss")
    again = int(newest.name.removeprefix("iteration_"))
    steps = [metric.step for metric in logged]
    assert sorted(set(steps)) == history["iteration"].tolist()
    # Iterations after the checkpoint were reported before the kill and are reported again, the same but for
    # the clock; none before it is, and none more than twice.
    twice = {step for step in steps if steps.count(step) > 1}
    assert all(step > again for step in twice)
    assert len(steps) == len(set(steps)) + len(twice)
    values = dict(history[["iteration", "loss"]].itertuples(index=False))
    assert all(metric.value == pytest.approx(values[metric.step]) for metric in logged)


@pytest.mark.ray
def test_a_run_that_only_lacks_its_evaluation_trains_no_more(tmp_path):
    complete(*A2C, "tracking=off", "hydra.run.dir=run", cwd=tmp_path)
    folder = tmp_path / "run"
    before = {name: (folder / name).read_bytes() for name in ("leaderboard.csv", "training.csv")}
    checkpoints = contents(folder / "checkpoints")
    for name in ("result.json", *before):
        (folder / name).unlink()
    complete("resume=run", cwd=tmp_path)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert contents(folder / "checkpoints") == checkpoints
