"""``deploy=local`` from the outside: what it refuses, what it does, and that its processes go."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from qexp.deploy.campaign.campaign import Campaign
from qexp.deploy.campaign.journal import Journal, State
from qexp.deploy.campaign.plan import planned_tasks, segments
from qexp.deploy.executors.executor import Order
from qexp.deploy.local import Local
from qexp.errors import InputError
from qexp.fleet.fleet import Fleet
from qexp.placement.placement import Placement
from qexp.placement.schedulers.mct import MCT
from qexp.placement.workload.catalogue import QCE

QUICK = ("tracking=off", "plots=false", "eval.episodes=1", "eval.baselines=[]", "deploy=local")


def test_circuits_that_the_catalogue_lacks_are_refused_before_anything_starts(qexp, write_dataset, tmp_path):
    fits = {7: 12, 27: 12, 127: 12}
    path = write_dataset(tmp_path / "tasks.csv", [(1, "ghz", 3, fits), (1, "shor", 5, fits)])
    ended = qexp(*QUICK, "env/workload=csv", f"env.workload.path={path}", "deploy.tasks=2", "deploy.block=2")
    assert ended.status == 2
    assert re.fullmatch(r"qexp: deploy=local: the circuit catalogue has no 'shor_5'.*\n", ended.err)
    assert not Path("outputs").exists()


def test_circuits_too_wide_to_be_sampled_are_refused(qexp):
    ended = qexp(*QUICK, "env.workload.min_width=13", "env.workload.max_width=20")
    assert ended.status == 2
    assert re.fullmatch(r"qexp: env\.workload\.max_width: \w+ is too wide .* up to 12 qubits\n", ended.err)


def test_machines_without_a_stand_in_are_refused(qce25):
    nodes = (*qce25.fleet.nodes[:4], qce25.fleet.nodes[4].model_copy(update={"machine": "osaka"}))
    fleet = Fleet("mine", nodes)
    scenario = replace(qce25, workload=QCE(max_width=4))
    scenario.fleet = fleet
    with pytest.raises(InputError, match="nothing stands in for node 'lagos': set its 'machine' to one of"):
        Local().check(scenario, ["ghz_3"])


@pytest.mark.slow
def test_one_line_without_the_extra(tmp_path):
    code = "import sys; sys.modules['qiskit_aer'] = None; from qexp.cli import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", code, *QUICK], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ended.returncode == 2
    assert (
        ended.stderr
        == "qexp: module 'qiskit_aer' is not installed: pip install -e '.[deploy]' in a checkout\n"
    )
    assert not (tmp_path / "outputs").exists()


def narrow(qce25) -> Placement:
    return replace(qce25, workload=QCE(max_width=4))


@pytest.mark.slow  # starts processes that import Qiskit
def test_closing_ends_the_processes_though_much_is_to_do(qce25):
    before = set(multiprocessing.active_children())
    executor = Local(workers=1).executor(narrow(qce25))
    executor.start(0.0)
    jobs = [executor.submit(Order(f"c-{i}", "c", "kolkata", "vqe_su2_8", 1000)) for i in range(200)]
    assert len(set(multiprocessing.active_children()) - before) >= 1
    executor.close()
    assert set(multiprocessing.active_children()) == before
    unfinished = sum(not job.state.final for job in executor.poll(jobs))
    assert unfinished > 100
    executor.close()


@pytest.mark.slow
def test_the_processes_go_with_the_one_that_started_them():
    code = """
import multiprocessing, os, time
from qexp.fleet.fleet import load_fleet
from qexp.deploy.local import Local
from qexp.deploy.executors.executor import Order
from qexp.placement.placement import Placement

if __name__ == "__main__":
    executor = Local().executor(Placement(load_fleet("qce5")))
    executor.start(0.0)
    job = executor.submit(Order("c-0", "c", "perth", "ghz_3", 100))
    while not executor.poll([job])[0].state.final:
        executor.wait(1.0)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    children = [int(pid) for pid in ended.stdout.split()]
    assert children, ended.stderr
    for _ in range(600):
        if not any(alive(pid) for pid in children):
            return
        time.sleep(0.1)
    pytest.fail(f"{children} outlive their parent")


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.slow
def test_a_campaign_through_the_command(python, tmp_path):
    ended = python(
        *("-m", "qexp", *QUICK, "scheduler=round_robin", "env.workload.max_width=4", "deploy.speed=1000"),
        *("env.workload.families=[ghz,qft]", "deploy.tasks=6", "env.workload.shots=200"),
        cwd=tmp_path,
    )
    assert ended.status == 0, ended
    assert "6 of 6 tasks are over" in ended.out
    folder = tmp_path / re.search(r"run folder: (\S+)", ended.out)[1]
    with Journal(folder / "journal.db") as journal:
        tasks = journal.tasks()
    assert all(sum(task.counts.values()) == 200 for task in tasks)
    assert all(task.finished == task.running + task.quantum_seconds for task in tasks)


@pytest.mark.slow
def test_a_campaign_whose_processes_are_killed_loses_nothing(qce25, tmp_path):
    deployment = Local(tasks=12, block=12, speed=1000.0, clock="immediate", workers=2, retries=0)
    scenario, schedulers = narrow(qce25), {"mct": MCT()}
    plan = segments(scenario, deployment, list(schedulers))
    Journal.create(tmp_path / "journal.db", planned_tasks(plan, deployment), {"campaign": "c"}).close()
    before = set(multiprocessing.active_children())
    killed = []
    with Journal(tmp_path / "journal.db") as journal, deployment.executor(scenario) as executor:
        executor.start(0.0)
        campaign = Campaign(journal, scenario, plan, schedulers, executor, deployment)

        def kill(_: Campaign) -> None:
            """Kill one when all is sent, and another when a few tasks are done."""
            done = sum(task.state is State.DONE for task in campaign.tasks)
            sent = all(task.tag for task in campaign.tasks)
            if sent and done >= 3 * len(killed) and len(killed) < 2:
                others = set(multiprocessing.active_children()) - before
                killed.append(min(child.pid for child in others if child.pid not in killed))
                os.kill(killed[-1], signal.SIGKILL)

        campaign.on_change = kill
        campaign.run()
    assert len(killed) == 2
    assert [(task.state, task.attempt) for task in campaign.tasks] == [(State.DONE, 1)] * 12
    assert set(multiprocessing.active_children()) == before
