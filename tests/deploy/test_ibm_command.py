"""``deploy=ibm`` through the command line, the client unmodified, against IBM Quantum's stand-in."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ibm_account import account, sent
from ibm_stand_in.jobs import Queues

from qexp.deploy.journal import Journal, State

ROOT = Path(__file__).parents[2]
QUICK = (
    *("deploy=ibm", "plots=false", "eval.episodes=2", "eval.baselines=[mct]", "env.tasks=5"),
    *("env.workload.max_width=3", "env.workload.families=[ghz]", "deploy.clock=immediate"),
    *("deploy.poll_interval=0.05", "deploy.status_interval=0.05", "deploy.settle=1"),
)


@pytest.fixture
def server():
    with account() as server:
        yield server


def folder_of(ended) -> Path:
    assert ended.status == 0, ended
    return Path(re.search(r"run folder: (\S+)", ended.out)[1])


def holders(folder: Path, secret: str) -> list[Path]:
    """The files below a folder that hold a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if secret.encode() in path.read_bytes()]


def test_without_confirmation_nothing_is_submitted(qexp, server):
    ended = qexp(*QUICK, "tracking=off", "deploy.tasks=3")
    folder = folder_of(ended)
    for words in ("campaign on ibm", "3 (limit 100)", "(limit 300)", "fez", "torino"):
        assert words in ended.out
    assert "nothing was submitted: deploy.confirm=true submits" in ended.out
    assert sent(server) == 0
    assert json.loads((folder / "result.json").read_text())["deployment"] is None


def test_a_confirmed_campaign_runs_and_keeps_no_secret(qexp, server, tmp_path):
    ended = qexp(*QUICK, "deploy.tasks=5", "deploy.confirm=true", "deploy.schedulers=[mct,round_robin]")
    folder = folder_of(ended)
    assert sent(server) == 10
    audit = server.audit()
    assert len(audit["tags"]) == 10 + 1  # the campaign's own tag is on all
    with Journal(folder / "journal.db") as journal:
        tasks = journal.tasks()
    assert all(task.state is State.DONE for task in tasks)
    assert all(sum(task.counts.values()) == 1024 for task in tasks)
    assert all(task.quantum_seconds is not None and task.running is not None for task in tasks)
    deployed = json.loads((folder / "result.json").read_text())["deployment"]
    assert deployed["jobs"] == 10
    assert deployed["gap"]["gap/tasks_counted"] == 10
    assert (folder / "report.html").is_file()
    assert (folder / "fleet.yaml").is_file()
    everything = tmp_path / "cwd"
    assert (everything / "outputs" / "mlflow.db").is_file()
    for secret in (server.token, server.crn):
        assert holders(everything, secret) == []
        assert secret not in ended.out + ended.err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["deploy.max_jobs=4"], ["deploy.max_jobs=4", "5 jobs"]),
        (["deploy.max_quantum_seconds=5"], ["deploy.max_quantum_seconds=5", "at least"]),
    ],
)
def test_limits_that_are_too_small_are_said_before_anything_happens(qexp, server, tmp_path, settings, words):
    ended = qexp(*QUICK, "tracking=off", "deploy.tasks=5", "deploy.confirm=true", *settings)
    assert ended.status == 2
    assert all(word in ended.err for word in words), ended.err
    assert sent(server) == 0
    assert not list((tmp_path / "cwd").iterdir())


def test_what_the_account_cannot_pay_for_does_not_begin(qexp, server):
    server.consumed_seconds = server.limit_seconds - 3.0
    ended = qexp(*QUICK, "tracking=off", "deploy.tasks=5", "deploy.confirm=true")
    assert ended.status == 2
    assert "3 s left" in ended.err
    assert sent(server) == 0


def test_an_account_that_expires_stops_the_campaign_and_it_goes_on(qexp, server, monkeypatch):
    key, answer = server.token, server.answer

    def watching(line, query, headers, body):
        reply = answer(line, query, headers, body)
        if sent(server) == 2 and server.token == key:
            server.token = "another"  # noqa: S105 opens nothing
            server.revoke()
        return reply

    with monkeypatch.context() as patch:
        patch.setattr(server, "answer", watching)
        begun = qexp(*QUICK, "tracking=off", "deploy.tasks=5", "deploy.confirm=true", "hydra.run.dir=run")
    assert begun.status == 2, begun
    assert re.fullmatch(r"qexp: deploy: IBM Quantum: [^\n]*key is not[^\n]*resume=run\n", begun.err)
    assert key not in begun.err
    server.token = key
    assert folder_of(qexp("resume=run")) == Path("run")
    assert sent(server) == 5
    with Journal(Path("run") / "journal.db") as journal:
        assert all(task.state is State.DONE for task in journal.tasks())


@pytest.mark.slow
def test_a_campaign_killed_in_the_middle_goes_on_by_the_command_line(tmp_path):
    with account(queues=Queues(run_seconds=(40.0, 40.0), speed=20.0)) as server:
        command = [sys.executable, "-m", "qexp", *QUICK, "tracking=off", "hydra.run.dir=run"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [
                *command,
                "deploy.tasks=8",
                "deploy.confirm=true",
                "deploy.max_execution_time=60",
                "deploy.max_quantum_seconds=590",
            ],
            cwd=tmp_path,
            env=environment,
        )
        until = time.monotonic() + 120
        while sent(server) < 3:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = subprocess.run(
            [sys.executable, "-m", "qexp", "resume=run"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # Each order's tag once, the campaign's eight times.
        assert set(server.audit()["tags"].values()) <= {1, 8}
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "COMPLETED"
    assert result["deployment"]["tasks"] == {"done": 8}
