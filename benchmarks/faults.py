"""Kills campaigns, injects faults, and counts what was sent twice, lost, or charged unseen.

``python -m benchmarks.faults [--kills 500] [--faults 1000] [--lag 0.3] [--seed 0] [--out FILE]``

The service is a stand-in on the loopback interface in a process of its own, which holds its books against
the journal; the client is the unmodified qiskit-ibm-runtime. A campaign's process is forked from this one,
which has imported the client, and killed with SIGKILL: at a random instant, or by the service itself while it
deals with an order. Nothing is timed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.tally import Tally, page
from qexp.deploy.campaign.journal import FILE, UNSETTLED, Journal
from qexp.deploy.ibm import IBM
from qexp.fleet.fleet import Fleet, fleet_text, parse_fleet
from qexp.placement.placement import Placement
from qexp.placement.workload.catalogue import QCE

ROOT = Path(__file__).resolve().parents[1]
DEVICES = ("lagos", "perth", "nairobi")
TASKS = 10
LONGEST = 120.0
"""Seconds after which a campaign that nobody kills counts as stuck."""
LATEST_KILL = 1.2
QUEUES: dict[str, Any] = {"run_seconds": [2.0, 12.0], "speed": 20.0}
REFUSED = 2
"""Exit status of a process that says in one line why it does not go on."""
SETTLE = 0.6

AT_RANDOM = "at a random instant"
KILLS: dict[str, dict[str, Any]] = {
    AT_RANDOM: {},
    "an order has arrived, and is not accepted": {},
    "an order is accepted, and not answered": {"after": True},
    "an order was answered, up to 10 ms before": {"after": True, "answered": True},
}
"""When a process is killed, by what it is called in the table."""
SPARED = 4
"""Orders that may pass before a process is killed at one."""

FAULTS: dict[str, dict[str, Any]] = {
    "order: 503, not accepted": {"on": "POST /jobs", "status": 503},
    "order: 500 after it was accepted": {"on": "POST /jobs", "status": 500, "after": True},
    "order: connection reset, not accepted": {"on": "POST /jobs", "kind": "reset"},
    "order: connection reset after it was accepted": {"on": "POST /jobs", "kind": "reset", "after": True},
    "order: no answer, not accepted": {"on": "POST /jobs", "kind": "stall", "seconds": 1.5},
    "order: no answer after it was accepted": {
        "on": "POST /jobs",
        "kind": "stall",
        "seconds": 1.5,
        "after": True,
    },
    "order: 429 with Retry-After": {"on": "POST /jobs", "status": 429, "headers": {"Retry-After": "1"}},
    "order: answer cut short after it was accepted": {"on": "POST /jobs", "kind": "truncated", "after": True},
    "order: answer is no JSON after it was accepted": {
        "on": "POST /jobs",
        "kind": "malformed",
        "after": True,
    },
    "jobs: 503": {"on": r"GET /jobs(/.*)?", "status": 503},
    "jobs: connection reset": {"on": r"GET /jobs(/.*)?", "kind": "reset"},
    "jobs: answer is no JSON": {"on": r"GET /jobs(/.*)?", "kind": "malformed"},
    "jobs: answer cut short": {"on": r"GET /jobs(/.*)?", "kind": "truncated", "after": True},
    "machines: 500": {"on": "GET /backends", "status": 500},
    "account: 401, access token expired": {"on": r"(GET|POST) /jobs", "status": 401},
}
"""What goes wrong on the way, by what it is called in the table."""
WRONG = ("twice", "lost", "unseen", "charges")
"""What can be wrong with a campaign, as the service's verdict and the tally call it."""
FATES = ("cancelled", "undecodable", "failed")


@contextmanager
def service(**knobs: Any) -> Iterator[str]:
    """Run the stand-in; give its URL. The client of this process is pointed at it."""
    command = [sys.executable, str(ROOT / "tests" / "ibm_stand_in"), "--devices", *DEVICES]
    with subprocess.Popen([*command, "--queues", json.dumps(knobs)], stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        told = json.loads(it.stdout.readline())
        os.environ |= told["environment"]
        # No plan pays for all these campaigns.
        ask(told["url"], "service", {"limit_seconds": 1e9})
        try:
            yield str(told["url"])
        finally:
            it.terminate()


def ask(url: str, what: str, body: object = None) -> Any:
    """Ask the stand-in, or turn a knob."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/_stand_in/{what}", data=data)  # noqa: S310 http on loopback
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        text = reply.read()
    return json.loads(text) if text else None


def fleet() -> Fleet:
    """Return the stand-in's machines as a fleet."""
    from qexp.fleet.ibm import live_nodes

    return parse_fleet(fleet_text("Made for a benchmark.", {"name": "stand-in"}, live_nodes()[0]), Path("x"))


def deployment(seed: int) -> IBM:
    """Return a campaign's settings: as on real machines, but for the time everything takes."""
    return IBM(
        tasks=TASKS,
        clock="immediate",
        schedulers=["mct"],
        settle=SETTLE,
        retries=3,
        seed=seed,
        confirm=True,
        max_jobs=1000,
        max_quantum_seconds=1e6,
        max_execution_time=60.0,
        poll_interval=0.05,
        status_interval=0.3,
        timeout=1.0,
    )


def fork(scenario: Placement, folder: Path, seed: int) -> int:
    """Start a process that begins a campaign or goes on with it; return its id."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        from rich.console import Console

        from qexp.deploy.campaign.run import prepare, run_campaign
        from qexp.errors import InputError
        from qexp.placement.schedulers.mct import MCT

        with (folder / "output.txt").open("a", encoding="utf-8") as out:
            console = Console(file=out)
            try:
                plan = prepare(deployment(seed), scenario, console, "ibm")
                run_campaign(plan, {"mct": MCT()}, folder, console)
                status = 0
            except InputError as error:
                out.write(f"{error}\n")
                status = REFUSED
    finally:
        os._exit(status)


def ended(process: int, seconds: float) -> int | None:
    """Wait for a process so long; return its exit status, None if it goes on."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def run_campaign(
    scenario: Placement, seed: int, tally: Tally, rng: random.Random, kills: int, url: str
) -> None:
    """Run one campaign to its end, killing it up to so many times on the way, and judge it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deadline = time.monotonic() + LONGEST
        while True:
            when = rng.choice([AT_RANDOM, *KILLS]) if kills > 0 else None
            process = fork(scenario, folder, seed)
            patience = max(deadline - time.monotonic(), 10.0)
            if when == AT_RANDOM:
                patience = rng.uniform(0.0, LATEST_KILL)
            elif when is not None:
                ask(url, "faults", [deadly(process, when, rng)])
            else:
                intrude(scenario, folder, seed, tally, process)
            status = ended(process, patience)
            if when is not None:
                ask(url, "faults", [])
            if status is None:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                if when != AT_RANDOM:
                    tally.stuck += 1
                    break
                status = -signal.SIGKILL
            if status == 0:
                break
            if status == -signal.SIGKILL and when is not None:
                kills -= 1
                tally.killed[when] += 1
                tally.unclear[when] += unclear(folder)
                deadline = time.monotonic() + LONGEST
            else:
                # It gave up in order, as when the account is refused: its user starts it again.
                tally.stopped += 1
                if time.monotonic() > deadline:
                    tally.stuck += 1
                    break
        count(folder, tally, url)


def intrude(scenario: Placement, folder: Path, seed: int, tally: Tally, process: int) -> None:
    """Have a second process go on with the campaign that one is at, and see that it is refused."""
    time.sleep(0.3)
    second = fork(scenario, folder, seed)
    status = ended(second, LONGEST)
    if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
        return  # the first had ended by then
    tally.seconds += 1
    tally.let_in += status != REFUSED


def deadly(process: int, when: str, rng: random.Random) -> dict[str, Any]:
    """Return the fault that kills a process at one of its next orders."""
    fault = {"on": "POST /jobs", "kind": "kill", "process": process, "spare": rng.randrange(SPARED)}
    return fault | KILLS[when] | {"seconds": rng.uniform(0.0, 0.01)}


def unclear(folder: Path) -> bool:
    """Return whether the journal of a killed process holds an order whose fate it does not know."""
    with tempfile.TemporaryDirectory() as name:
        # A copy: to open the journal itself would tidy up before the next process does.
        for path in folder.glob(f"{FILE}*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, name)
        if not (Path(name) / FILE).exists():
            return False
        with Journal(Path(name) / FILE) as journal:
            return any(task.state in UNSETTLED for task in journal.tasks())


def count(folder: Path, tally: Tally, url: str) -> None:
    """Hold a campaign's journal against the books of the service."""
    tally.campaigns += 1
    if not (folder / FILE).exists():
        tally.lost += TASKS
        return
    with Journal(folder / FILE) as journal:
        campaign, tasks = journal.meta["campaign"], journal.tasks()
    verdict = ask(url, f"verdict/{campaign}", {"journal": str(folder / FILE)})
    tally.tasks += len(tasks)
    tally.accepted += verdict["jobs"]
    tally.ends.update(str(task.state) for task in tasks)
    for kind in WRONG:
        setattr(tally, kind, getattr(tally, kind) + len(verdict[kind]))
        for finding in verdict[kind]:
            tally.findings.append(f"campaign {tally.campaigns}, {finding}")
            say(tally.findings[-1])


def scenario() -> Placement:
    """Return the placement problem, with all imported that its campaigns need: they begin at once then."""
    it = Placement(fleet(), workload=QCE(max_width=4, families=["ghz", "dj", "qft"]))
    deployment(0).executor(it).close()
    return it


def kill_campaigns(kills: int, lag: float, seed: int) -> Tally:
    """Run campaigns until so many processes are killed."""
    rng, tally = random.Random(seed), Tally()  # noqa: S311 not for secrets
    with service(**QUEUES, hidden=lag) as url:
        it = scenario()
        while tally.kills < kills:
            run_campaign(it, tally.campaigns, tally, rng, min(8, kills - tally.kills), url)
            say(f"{tally.kills} kills in {tally.campaigns} campaigns")
    return tally


def injure_campaigns(faults: int, lag: float, seed: int) -> Tally:
    """Run campaigns until so many faults have struck."""
    rng, tally, names = random.Random(seed), Tally(), list(FAULTS)  # noqa: S311 not for secrets
    with service(**QUEUES, hidden=lag, fates=dict.fromkeys(FATES, 0.03)) as url:
        it = scenario()
        while tally.struck.total() < faults:
            # Questions are many and orders few.
            chances = [0.15 if name.startswith("order") else 0.04 for name in names]
            chosen = [
                FAULTS[name] | {"times": None, "chance": chance}
                for name, chance in zip(names, chances, strict=True)
            ]
            ask(url, "faults", chosen)
            # A machine goes to maintenance for a while; the others go on.
            closed = rng.choice(ask(url, "audit")["devices"])
            ask(url, f"devices/{closed}", {"status": "maintenance"})
            run_campaign(it, tally.campaigns, tally, rng, 0, url)
            ask(url, f"devices/{closed}", {"status": "active"})
            for name, struck in zip(names, ask(url, "audit")["struck"], strict=True):
                tally.struck[name] += struck
            say(f"{tally.struck.total()} faults in {tally.campaigns} campaigns")
    return tally


def main(arguments: list[str] | None = None) -> int:
    """Kill, injure, count, and print a table; the exit status says whether anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument(
        "--lag", type=float, default=SETTLE / 2, help="seconds before a job is listed, default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    # Each half has a service of its own, and waits for it most of the time.
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        first = pool.submit(kill_campaigns, options.kills, options.lag, options.seed)
        second = pool.submit(injure_campaigns, options.faults, options.lag, options.seed)
        killed, faulty = first.result(), second.result()
    text = page(killed, faulty, list(KILLS), options.lag, SETTLE)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return int(killed.wrong + faulty.wrong > 0)


def say(text: str) -> None:
    """Tell how it goes, where tables do not go."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
