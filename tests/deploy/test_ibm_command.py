"""``deploy=ibm`` through the command line, the client unmodified, against IBM Quantum's stand-in."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cases import quick_first
from ibm_account import account, sent
from ibm_stand_in.jobs import Queues

from qexp.deploy.campaign.journal import Journal, State

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


@pytest.mark.slow
def test_without_confirmation_nothing_is_submitted(qexp, server):
    ended = qexp(*QUICK, "tracking=off", "deploy.tasks=3")
    folder = folder_of(ended)
    for words in ("campaign on ibm", "3 (limit 100)", "(limit 300)", "fez", "torino"):
        assert words in ended.out
    assert "nothing was submitted: deploy.confirm=true submits" in ended.out
    assert sent(server) == 0
    assert json.loads((folder / "result.json").read_text())["deployment"] is None


@pytest.mark.slow
def test_a_sweep_plans_campaigns_that_are_let_loose_one_by_one(qexp, server):
    swept = qexp("-m", "sweep=s", "scheduler=mct,met", *QUICK, "tracking=off", "deploy.tasks=3")
    assert swept.status == 0, swept
    assert "0 of 2 jobs completed" in swept.out
    (command,) = re.findall(
        r"2 planned; to let one loose: python -m qexp (.*) deploy.confirm=true", swept.out
    )
    assert sent(server) == 0
    folder = Path("outputs/sweeps/s")
    with (folder / "sweep.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["status"], row["scheduler"]) for row in rows] == [("PLANNED", "mct"), ("PLANNED", "met")]
    assert all(float(row["total_completion_time_mean"]) > 0 for row in rows)
    folder_of(qexp(*shlex.split(command), "deploy.confirm=true"))
    assert sent(server) == 3
    again = qexp("-m", "sweep=s", "scheduler=mct,met", *QUICK, "tracking=off", "deploy.tasks=3")
    assert again.status == 0, again
    assert "1 of 2 jobs completed" in again.out
    assert sent(server) == 3


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "words"),
    quick_first(
        [
            (["deploy.max_jobs=4"], ["deploy.max_jobs=4", "5 jobs"]),
            (["deploy.max_quantum_seconds=5"], ["deploy.max_quantum_seconds=5", "at least"]),
            (["deploy.tasks=1", "deploy.max_quantum_seconds=5"], ["a single job may take 10 s"]),
            (["deploy.max_execution_time=2"], ["deploy.max_execution_time=2", "the longest job takes"]),
        ]
    ),
)
def test_limits_that_are_too_small_are_said_before_anything_happens(qexp, server, tmp_path, settings, words):
    ended = qexp(*QUICK, "tracking=off", "deploy.tasks=5", "deploy.confirm=true", *settings)
    assert ended.status == 2
    assert all(word in ended.err for word in words), ended.err
    assert sent(server) == 0
    assert not list((tmp_path / "cwd").iterdir())


@pytest.mark.slow
def test_what_the_account_cannot_pay_for_does_not_begin(qexp, server):
    server.consumed_seconds = server.limit_seconds - 3.0
    ended = qexp(*QUICK, "tracking=off", "deploy.tasks=5", "deploy.confirm=true")
    assert ended.status == 2
    assert "3 s left" in ended.err
    assert sent(server) == 0


@pytest.mark.slow
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
            [sys.executable, "-m", "qexp", "resume=run", "deploy.max_quantum_seconds=600"],
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


@pytest.mark.slow
def test_two_processes_on_one_campaign_send_every_order_once(tmp_path):
    resume = [sys.executable, "-m", "qexp", "resume=run"]
    with account(queues=Queues(run_seconds=(40.0, 40.0), speed=20.0)) as server:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "qexp", *QUICK, "tracking=off", "hydra.run.dir=run"]
        options = ["deploy.tasks=6", "deploy.confirm=true", "deploy.max_execution_time=50"]
        first = subprocess.Popen([*command, *options], cwd=tmp_path, env=environment)
        until = time.monotonic() + 120
        while sent(server) < 2:
            assert first.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        second = subprocess.run(
            resume, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert second.returncode == 2
        assert second.stderr == (f"qexp: run: another process runs this campaign (pid {first.pid})\n")
        assert first.wait(120) == 0
        assert sent(server) == 6
        assert set(server.audit()["tags"].values()) == {1, 6}
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["deployment"]["tasks"]) == ("COMPLETED", {"done": 6})


@pytest.mark.slow
def test_a_plan_is_confirmed_by_resume_and_says_how(qexp, server):
    ended = qexp(*QUICK, "tracking=off", "deploy.tasks=3", "hydra.run.dir=run")
    assert folder_of(ended) == Path("run")
    assert "continue with: python -m qexp resume=run deploy.confirm=true" in ended.out
    assert json.loads(Path("run/result.json").read_text())["status"] == "PLANNED"
    leaderboard = Path("run/leaderboard.csv").read_bytes()
    # Still only a plan; then with limits that are too small, then for real.
    assert qexp("resume=run").status == 0
    ended = qexp("resume=run", "deploy.confirm=true", "deploy.max_jobs=2")
    assert ended.status == 2
    assert "deploy.max_jobs=2: the campaign has 3 jobs" in ended.err
    assert sent(server) == 0
    ended = qexp("resume=run", "deploy.confirm=true", "deploy.max_quantum_seconds=50", "deploy.patience=100")
    assert folder_of(ended) == Path("run")
    assert sent(server) == 3
    result = json.loads(Path("run/result.json").read_text())
    assert (result["status"], result["deployment"]["tasks"]) == ("COMPLETED", {"done": 3})
    assert Path("run/leaderboard.csv").read_bytes() == leaderboard
    ended = qexp("resume=run", "deploy.confirm=true")
    assert ended.status == 2
    assert "this run is complete; its result is in run/report.html" in ended.err


@pytest.mark.slow
def test_a_limit_that_stopped_a_campaign_is_raised_by_resume(qexp, server):
    # What a job is charged is more than the estimate: the limit is reached on the way.
    server.queues.run_seconds = (8.0, 8.0)
    begun = qexp(
        *(*QUICK, "tracking=off", "deploy.tasks=4", "deploy.confirm=true", "hydra.run.dir=run"),
        *("deploy.max_quantum_seconds=30", "deploy.clock=real", "env.arrivals.window=20"),
    )
    assert begun.status == 2, begun
    assert re.search(r"deploy\.max_quantum_seconds=30 \w+ be exceeded", begun.err), begun.err
    assert "see what was done with python -m qexp.gap run" in begun.err
    assert begun.err.endswith("continue with resume=run deploy.max_quantum_seconds=N\n")
    assert sent(server) < 4
    assert folder_of(qexp("resume=run", "deploy.max_quantum_seconds=3000")) == Path("run")
    assert sent(server) == 4


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_campaign_that_was_confirmed_once_goes_on_as_it_was_allowed(qexp, server, monkeypatch):
    folder_of(qexp(*QUICK, "tracking=off", "deploy.tasks=3", "hydra.run.dir=run"))
    with monkeypatch.context() as patch:
        patch.setattr("qexp.deploy.campaign.campaign.Campaign.run", interrupted)
        ended = qexp("resume=run", "deploy.confirm=true", "deploy.max_jobs=7")
    assert ended.status == 130
    assert "continue with: python -m qexp resume=run\n" in ended.out
    assert folder_of(ended := qexp("resume=run")) == Path("run")
    assert "3 (limit 7)" in ended.out
    assert sent(server) == 3
    assert json.loads(Path("run/result.json").read_text())["status"] == "COMPLETED"


@pytest.mark.slow
def test_a_sweep_does_not_go_on_with_a_campaign_that_it_does_not_confirm(qexp, server, monkeypatch):
    sweep = ("-m", "sweep=s", "scheduler=mct,met", *QUICK, "tracking=off", "deploy.tasks=3")
    assert qexp(*sweep).status == 0
    (job,) = Path("outputs/sweeps/s").glob("scheduler=mct*")
    with monkeypatch.context() as patch:
        patch.setattr("qexp.deploy.campaign.campaign.Campaign.run", interrupted)
        assert qexp(f'resume="{job}"', "deploy.confirm=true").status == 130
    again = qexp(*sweep)
    assert again.status == 1
    assert f"holds a campaign that was confirmed before: continue with 'resume=\"{job}\"'" in " ".join(
        again.out.split()
    )
    assert sent(server) == 0


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["gone", "damaged"])
def test_a_campaign_without_a_journal_that_can_be_read_is_not_begun_anew(qexp, server, monkeypatch, loss):
    options = ("tracking=off", "deploy.tasks=3", "deploy.confirm=true", "hydra.run.dir=run")
    with monkeypatch.context() as patch:
        patch.setattr("qexp.deploy.campaign.campaign.Campaign.run", interrupted)
        assert qexp(*QUICK, *options).status == 130
    journal = Path("run/journal.db")
    if loss == "gone":
        for file in Path("run").glob("journal.db*"):
            file.unlink()
    else:
        content = bytearray(journal.read_bytes())
        content[8192:20000] = b"U" * (20000 - 8192)
        journal.write_bytes(content)
    ended = qexp("resume=run")
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 1
    words = "run/journal.db is gone" if loss == "gone" else "run/journal.db: damaged"
    assert words in ended.err or "not a campaign's journal" in ended.err
    assert "completion" not in ended.out  # said before anything is computed
    assert sent(server) == 0


@pytest.mark.slow
def test_jobs_that_were_sent_are_not_forgotten_for_another_run(qexp, server):
    folder_of(qexp(*QUICK, "tracking=off", "deploy.tasks=2", "deploy.confirm=true", "hydra.run.dir=run"))
    journal = Path("run/journal.db").read_bytes()
    ended = qexp(
        "tracking=off", "plots=false", "eval.episodes=2", "eval.baselines=[mct]", "hydra.run.dir=run"
    )
    assert ended.status == 2
    assert "run holds the journal of 2 jobs that were sent for real: choose another folder" in ended.err
    assert Path("run/journal.db").read_bytes() == journal


def test_an_account_that_is_missing_is_said_before_anything_is_computed(qexp, server, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    ended = qexp(*QUICK, "backend=heron", "tracking=off", "deploy.tasks=2", "deploy.confirm=true")
    assert ended.status == 2
    assert "no account" in ended.err
    assert "completion" not in ended.out
    assert not list((tmp_path / "cwd").iterdir())


@pytest.mark.slow
def test_a_campaign_that_is_gone_on_with_says_when(qexp, server):
    folder_of(qexp(*QUICK, "tracking=off", "deploy.tasks=3", "deploy.confirm=true", "hydra.run.dir=run"))
    with Journal(Path("run/journal.db")) as journal:
        assert not [event for event in journal.events() if event[3] == "resumed"]
        task = journal.tasks()[-1]
        task.state = State.RUNNING
        # As if the clock of the computer had been set back since.
        journal.save(task, 5000.0)
    Path("run/result.json").unlink()
    folder_of(qexp("resume=run"))
    with Journal(Path("run/journal.db")) as journal:
        resumed, *_ = [event for event in journal.events() if event[3] == "resumed"]
    assert resumed[1] >= 5000.0
    assert resumed[4] == "1 of 3 tasks not over"


@pytest.mark.slow
def test_a_policy_that_was_trained_for_the_plan_is_the_one_that_is_submitted(tmp_path):
    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "qexp", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    training = ("algo=a2c", "algo.env_steps=4000", "tracking=off", "hydra.run.dir=run")
    with account() as server:
        out = command(*QUICK, *training, "deploy.tasks=3", "deploy.schedulers=[mct,policy]")
        assert "continue with: python -m qexp resume=run deploy.confirm=true" in out
        assert sent(server) == 0
        policy = (tmp_path / "run" / "policy" / "policy.safetensors").read_bytes()
        command("resume=run", "deploy.confirm=true")
        assert sent(server) == 6
    assert (tmp_path / "run" / "policy" / "policy.safetensors").read_bytes() == policy
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "COMPLETED"
    assert {name: row["done"] for name, row in result["deployment"]["schedulers"].items()} == {
        "mct": 3,
        "a2c": 3,
    }
