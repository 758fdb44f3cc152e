"""An interrupt offers to cancel what waits, where there is somebody to ask."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from cloud_in_memory import InMemory, Service
from rich.console import Console

from qexp.deploy.campaign.campaign import Campaign
from qexp.deploy.campaign.journal import Journal, State
from qexp.deploy.campaign.plan import planned_tasks, segments
from qexp.deploy.campaign.run import _offer_to_cancel
from qexp.deploy.simulator import Simulator
from qexp.placement.schedulers.mct import MCT


@pytest.fixture
def interrupted(qce25, tmp_path: Path) -> Campaign:
    """A campaign that was interrupted while most of its jobs wait."""
    service = Service(qce25.fleet.names, service=1000.0)
    deployment = Simulator(tasks=12, clock="immediate")
    plan = segments(qce25, deployment, ["mct"])
    journal = Journal.create(tmp_path / "journal.db", planned_tasks(plan, deployment), {"campaign": "c"})
    executor = InMemory(service)
    campaign = Campaign(journal, qce25, plan, {"mct": MCT()}, executor, deployment)
    waits = []

    def trouble(question: str) -> None:
        waits.append(question)
        if question == "wait" and waits.count("wait") == 2:
            raise KeyboardInterrupt

    service.trouble = trouble
    with pytest.raises(KeyboardInterrupt):
        campaign.run()
    return campaign


def ask(
    campaign: Campaign,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    *,
    terminal: bool = True,
    ask: bool = True,
) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, color_system=None, highlight=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("builtins.input", lambda: answer)
    _offer_to_cancel(campaign, console, ask=ask)
    return out.getvalue()


@pytest.mark.parametrize(("answer", "cancels"), [("y", True), ("YES", True), ("n", False), ("", False)])
def test_a_person_is_asked(interrupted, monkeypatch, answer, cancels):
    # One that runs, and whose begin the service does not tell, does not wait.
    runs = next(t for t in interrupted.tasks if t.state in {State.SUBMITTED, State.QUEUED})
    runs.state = State.RUNNING
    waiting = [t for t in interrupted.tasks if t.state in {State.SUBMITTED, State.QUEUED}]
    assert waiting
    said = ask(interrupted, monkeypatch, answer)
    assert f"{len(waiting)} jobs in queues" in said
    assert "cancel them? [y/N]" in said
    jobs = [job.state for job in interrupted.executor.service.jobs.values()]
    assert jobs.count("cancelled") == (len(waiting) if cancels else 0)
    assert all((task.state is State.PLANNED) is cancels for task in waiting)


@pytest.mark.parametrize("why", ["terminal", "ask"])
def test_without_somebody_to_ask_jobs_stay(interrupted, monkeypatch, why):
    said = ask(interrupted, monkeypatch, "y", **{why: False})
    assert "stay there" in said
    assert not any(job.state == "cancelled" for job in interrupted.executor.service.jobs.values())
