"""The tracking server that a group shares: a real MLflow on a real PostgreSQL, with passwords on."""

from __future__ import annotations

import csv
import json
import re
import time

import pytest

pytestmark = pytest.mark.servers

TINY = ("plots=false", "env.tasks=5", "eval.episodes=5", "eval.baselines=[mct]")
FILES = ["config.yaml", "episodes.csv", "leaderboard.csv", "result.json", "tasks.csv"]


def test_a_user_it_does_not_know_is_told_so_before_anything_is_done(server, begin, tmp_path, monkeypatch):
    for key in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(key, raising=False)
    arguments = ("tracking=server", f"tracking.uri={server.uri}", *TINY)
    for env in ({}, {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "a guess"}):
        process = begin("qexp", *arguments, cwd=tmp_path, env=env)
        out, err = process.communicate()
        assert (process.returncode, out) == (2, "")
        assert re.fullmatch(
            rf"qexp: tracking\.uri={server.uri} cannot be used: the server asks for a user .*\n", err
        )
        assert list(tmp_path.iterdir()) == []


def test_eight_jobs_at_once_lose_nothing(server, known_user, begin, snapshot, tmp_path):
    arguments = ("tracking=server", f"tracking.uri={server.uri}", "tracking.experiment=at once", *TINY)
    jobs = [begin("qexp", *arguments, f"seed={k}", f"hydra.run.dir=run{k}", cwd=tmp_path) for k in range(8)]
    ended = [job.communicate() for job in jobs]
    assert [(job.returncode, err) for job, (_, err) in zip(jobs, ended, strict=True)] == [(0, "")] * 8

    for k in range(8):
        folder = tmp_path / f"run{k}"
        result = json.loads((folder / "result.json").read_text())
        seen = snapshot(server.uri, result["mlflow_run_id"])
        assert (seen["name"], seen["status"]) == (f"mct-5tasks-seed{k}", "FINISHED")
        assert (seen["params"]["seed"], seen["params"]["env.arrivals"]) == (str(k), "uniform")
        assert seen["tags"]["config_hash"] == result["config_hash"]
        (row,) = result["leaderboard"]
        assert {key: history[0][2] for key, history in seen["metrics"].items()} == {
            f"eval/{name}/{key}": value
            for name in ("mct", "chosen")
            for key, value in row.items()
            if isinstance(value, int | float)
        }
        assert seen["artifacts"] == sorted((name, (folder / name).stat().st_size) for name in FILES)

    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("at once")
    assert len(client.search_runs([experiment.experiment_id])) == 8


def test_a_server_that_dies_in_mid_training_costs_the_run_nothing(
    server, known_user, begin, snapshot, tmp_path
):
    experiment = ("tracking.experiment=cut off", "tracking.register=true", "tracking.model_name=cut-off")
    process = begin(
        "qexp",
        *("algo=a2c", "algo.env_steps=20000", "algo.num_envs=16", *TINY, "plots=true"),
        *("tracking=server", f"tracking.uri={server.uri}", *experiment, "hydra.run.dir=run"),
        cwd=tmp_path,
    )
    journal = tmp_path / "run" / "tracking.jsonl"
    while not (journal.exists() and '"train/' in journal.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    server.kill()
    try:
        out, err = process.communicate()
    finally:
        server.start()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    warnings = [line for line in out.splitlines() if "tracking:" in line]
    assert len(warnings) == 1
    assert "Retrying" not in out
    assert re.search(
        r"not delivered to http://127\.0\.0\.1:\d+ \(no server answers there: .*\): \d+ metric values, "
        r"\d+ artifacts, the policy model, the end of the run; "
        r"deliver it with: python -m qexp\.tracking sync run$",
        warnings[0],
    )
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "COMPLETED"
    run_id = result["mlflow_run_id"]
    assert snapshot(server.uri, run_id)["status"] == "RUNNING"

    def sync():
        done = begin("qexp.tracking", "sync", "run", cwd=tmp_path)
        out, err = done.communicate()
        assert (done.returncode, err) == (0, "")
        return out

    assert "run: delivered " in sync()
    seen = snapshot(server.uri, run_id)
    assert seen["status"] == "FINISHED"
    with (tmp_path / "run" / "training.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 2
    curve = [(step, value) for step, _, value in seen["metrics"]["train/env_steps"]]
    assert curve == [(int(float(row["iteration"])), float(row["env_steps"])) for row in rows]
    files = {name for name, _ in seen["artifacts"]}
    assert {*FILES, "training.csv", "policy/policy.json", "plots/gantt.png"} <= files
    assert [(name, status) for _, name, status, _ in seen["models"]] == [("policy", "READY")]
    assert [(name, aliases) for name, _, aliases in seen["versions"]] == [("cut-off", ["newest"])]

    def stored():
        return {path: path.stat().st_mtime_ns for path in server.artifacts.rglob("*") if path.is_file()}

    before = stored()
    assert "run: nothing to deliver" in sync()
    # Even a journal that has forgotten what has arrived changes nothing that can be seen.
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if not line.startswith('{"delivered"')))
    assert stored() == before
    assert "run: delivered " in sync()
    again = snapshot(server.uri, run_id)
    assert again == seen
    assert stored().keys() == before.keys()


def test_a_server_that_is_away_is_found_out_within_seconds(begin, tmp_path):
    from servers import free_port

    began = time.monotonic()
    process = begin(
        "qexp", "tracking=server", f"tracking.uri=http://127.0.0.1:{free_port()}", "algo=a2c", cwd=tmp_path
    )
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert re.fullmatch(r"qexp: tracking\.uri=\S+ cannot be used: no server answers there: .*\n", err)
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - began < 60  # most of it is importing MLflow, on a busy machine
