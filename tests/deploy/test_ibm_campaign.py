"""Campaigns on IBM Quantum's stand-in, both processes of their own: killed, gone on with, and audited."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from ibm_stand_in import TOKEN

from qexp.deploy.campaign.journal import FILE, Journal, State

ROOT = Path(__file__).parents[2]
TASKS = 8
CAMPAIGN = [
    *(
        "deploy=ibm",
        "deploy.confirm=true",
        "deploy.clock=immediate",
        f"deploy.tasks={TASKS}",
        "deploy.settle=1",
    ),
    *("deploy.poll_interval=0.2", "deploy.status_interval=1", "deploy.timeout=5", "deploy.retries=5"),
    *("tracking=off", "plots=false", "eval.episodes=2", "eval.baselines=[]", "env.workload.max_width=5"),
]
CHANCE = {"times": None, "chance": 0.1}
FAULTS = [
    {"on": "POST /jobs", "status": 503, "after": True, **CHANCE},
    {"on": "POST /jobs", "kind": "reset", "after": True, **CHANCE},
    {"on": "POST /jobs", "status": 500, **CHANCE},
    {"on": "POST /jobs", "kind": "truncated", "after": True, **CHANCE},
    {"on": "POST /jobs", "status": 429, "headers": {"Retry-After": "1"}, **CHANCE},
    {"on": "POST /jobs", "status": 401, **CHANCE},
    {"on": r"GET /jobs.*", "status": 502, **CHANCE},
    {"on": r"GET /jobs.*", "kind": "reset", **CHANCE},
    {"on": r"GET /jobs.*", "kind": "malformed", **CHANCE},
]


class Service:
    """The stand-in in another process."""

    def __init__(self, process, folder):
        self.process, self.folder = process, folder
        said = json.loads(process.stdout.readline())
        self.url = said["url"]
        # The client looks for the account here, and for no other.
        self.environment = said["environment"] | {"HOME": str(folder), "USAGE_DATA_OPT_OUT": "True"}

    def control(self, what, values=None):
        data = None if values is None else json.dumps(values).encode()
        with urllib.request.urlopen(f"{self.url}/_stand_in/{what}", data, timeout=10) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def begin(self, *arguments):
        """Start qexp."""
        environment = os.environ | self.environment | {"PYTHONPATH": f"{ROOT}:{ROOT / 'qexp' / 'plugins'}"}
        return subprocess.Popen(
            [sys.executable, "-m", "qexp", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments):
        """Run qexp to its end; return its status and what it said."""
        with self.begin(*arguments) as process:
            said = process.communicate(timeout=300)[0]
        return process.returncode, said


@contextmanager
def service(folder, **queues):
    arguments = ["--devices", "fez", "torino", "--queues", json.dumps({"speed": 40.0} | queues)]
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "ibm_stand_in", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        yield Service(process, folder)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_stand_in_points_a_shell_s_client_at_itself(tmp_path):
    script = tmp_path / "stand-in.sh"
    with script.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "ibm_stand_in", "--devices", "fez", "--shell"], stdout=out
        )
    try:
        until = time.monotonic() + 60
        while not script.read_text().endswith("\n"):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        sourced = subprocess.run(
            ["sh", "-c", '. ./stand-in.sh && echo "$QISKIT_IBM_URL" && echo "$QISKIT_IBM_TOKEN"'],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        url, token = sourced.stdout.split()
        assert token == TOKEN
        base = url.removesuffix("/experimental")
        with urllib.request.urlopen(f"{base}/_stand_in/audit", timeout=10) as answer:  # noqa: S310 loopback
            assert json.load(answer)["devices"] == ["ibm_fez"]
    finally:
        process.kill()
        process.wait()


def journal(folder):
    [path] = folder.glob(f"outputs/*/*/{FILE}")
    with Journal(path) as found:
        return found.meta["campaign"], found.tasks()


@pytest.mark.slow
def test_a_campaign_that_is_killed_again_and_again_sends_no_order_twice(tmp_path):
    with service(tmp_path) as ibm:
        ibm.control("faults", FAULTS)
        process, kills = ibm.begin(*CAMPAIGN), 0
        while process.poll() is None:
            # Each time some more orders have been sent.
            if kills < 2 and ibm.control("audit")["jobs"] >= 3 * (kills + 1):
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                [folder] = tmp_path.glob("outputs/*/*/")
                process = ibm.begin(f"resume={folder}")
            time.sleep(0.02)
        said = process.communicate()[0]
        assert (process.returncode, kills) == (0, 2), said
        campaign, tasks = journal(tmp_path)
        assert {task.state for task in tasks} == {State.DONE}
        assert len(tasks) == TASKS
        accepted = Counter(ibm.control("audit")["tags"])
        # Every job there ever was belongs to an order, and no order has two.
        assert accepted.pop(campaign) == sum(accepted.values())
        assert set(accepted.values()) == {1}
        assert {task.tag for task in tasks} <= accepted.keys()
        assert all(sum(task.counts.values()) == task.shots for task in tasks)
        assert all(task.quantum_seconds > 2 for task in tasks)


@pytest.mark.slow
def test_the_account_is_nowhere(tmp_path):
    with service(tmp_path) as ibm:
        secret = {"errors": [{"message": ibm.environment["QISKIT_IBM_INSTANCE"] + TOKEN}]}
        ibm.control("faults", [{"on": r"(GET|POST) /jobs.*", "status": 500, "body": secret, **CHANCE}])
        ibm.environment |= {"QISKIT_IBM_RUNTIME_LOG_LEVEL": "DEBUG", "HYDRA_FULL_ERROR": "1"}
        status, said = ibm.run(*CAMPAIGN, "deploy.tasks=2", "hydra.verbose=true")
        assert status == 0, said
        ibm.control("faults", [{"on": "POST /jobs", "status": 403, "body": secret, "times": None}])
        status, refused = ibm.run(*CAMPAIGN, "deploy.tasks=1", "hydra.verbose=true")
        assert status != 0
        assert "account was refused" in refused
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert any(path.name == FILE for path in files)
        for text in (said, refused, *(path.read_bytes().decode(errors="replace") for path in files)):
            assert TOKEN not in text
            assert "stand-in-instance" not in text
