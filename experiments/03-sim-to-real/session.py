"""A recorded session: a campaign on IBM Quantum's stand-in, killed in the middle and resumed.

``python experiments/03-sim-to-real/session.py``

The stand-in is the test suite's (``tests/ibm_stand_in``), in a process of its own on the loopback interface;
the client is the unmodified qiskit-ibm-runtime, and circuits are sampled with each machine's noise. With an
account of IBM Quantum in the environment the same commands run there. ``session.md`` has what was typed and
printed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUN = Path("outputs/studies/03-sim-to-real/session")
CAMPAIGN = (
    *("deploy=ibm", "deploy.tasks=12", "deploy.block=3", "deploy.schedulers=[mct,least_busy]"),
    "deploy.clock=compressed",
    *("deploy.poll_interval=0.5", "deploy.status_interval=1", "deploy.settle=2", "env.workload.max_width=5"),
    *("env/service_time=repetition_delay", "eval.episodes=20", "eval.baselines=[mct,least_busy]"),
    *("plots=false", "tracking=off"),
)
QUEUES = {"speed": 1.0}  # machines take the time that real ones take
KILLED_AFTER = 5


def stand_in() -> tuple[subprocess.Popen[str], str, dict[str, str]]:
    """Start the stand-in; return its process, URL, and the environment that points the client at it."""
    devices = ("--devices", "fez", "marrakesh", "torino")
    command = [sys.executable, str(ROOT / "tests" / "ibm_stand_in"), *devices, "--noisy"]
    command += ["--queues", json.dumps(QUEUES)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    return process, told["url"], told["environment"]


def accepted(url: str) -> dict[str, int]:
    """Return how many jobs the stand-in accepted with each order's tag; campaigns' own tags are left out."""
    with urllib.request.urlopen(f"{url}/_stand_in/audit", timeout=30) as reply:  # noqa: S310 loopback
        tags = json.loads(reply.read())["tags"]
    return {tag: times for tag, times in tags.items() if tag.count("-") > 1}


def typed(*arguments: str) -> list[str]:
    """Return the command, as run."""
    return [sys.executable, "-m", "qexp", *arguments]


def shown(*arguments: str) -> str:
    """Return the command, as a person types it."""
    return "python -m qexp " + " ".join(arguments)


def main() -> None:
    """Record the session."""
    shutil.rmtree(RUN, ignore_errors=True)
    server, url, account = stand_in()
    environment = os.environ | account | {"USAGE_DATA_OPT_OUT": "True", "COLUMNS": "110"}
    parts = ["# A recorded session against the stand-in", "", "Made by `session.py`.", ""]

    def record(title: str, command: str, output: str) -> None:
        text = output.rstrip()
        parts.extend([f"## {title}", "", "```", f"$ {command}", text, "```", ""])

    def run(*arguments: str) -> str:
        done = subprocess.run(typed(*arguments), env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    try:
        where = f"hydra.run.dir={RUN}"
        record("The plan", shown(*CAMPAIGN), run(*CAMPAIGN, f"hydra.run.dir={RUN}-plan"))
        arguments = (*CAMPAIGN, "deploy.confirm=true", where)
        with subprocess.Popen(
            typed(*arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            until = time.monotonic() + 300
            while len(accepted(url)) < KILLED_AFTER and process.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
            output = process.communicate()[0]
        count = len(accepted(url))
        record(f"Confirmed, and killed after {count} orders", shown(*arguments), output + "Killed")
        record("Gone on with", shown(f"resume={RUN}"), run(f"resume={RUN}"))
        times = Counter(accepted(url).values())
        parts.append(
            "The stand-in's own count: "
            + ", ".join(f"{count} orders accepted {time_} time(s)" for time_, count in sorted(times.items()))
            + "."
        )
    finally:
        server.terminate()
        server.wait()
    (HERE / "session.md").write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
