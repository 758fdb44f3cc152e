"""What a person sees of a campaign: the plan before it, machines and queues while it runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from qexp.deploy.campaign.journal import State
from qexp.deploy.campaign.plan import Estimate, Segment
from qexp.deploy.campaign.spend_guard import spent
from qexp.deploy.deployment import Deployment
from qexp.fleet.fleet import Fleet
from qexp.report.progress import QUIET_SECONDS
from qexp.report.wording import number_of

if TYPE_CHECKING:
    from qexp.deploy.campaign.campaign import Campaign

SHOWN_MACHINES = 24
REFRESH_SECONDS = 0.25


def show_plan(
    plan: Sequence[Segment],
    estimate: Estimate,
    deployment: Deployment,
    fleet: Fleet,
    console: Console,
    executor: str,
    shadows: Sequence[str] = (),
) -> None:
    """Print what a campaign will do and may cost."""
    blocks = len({segment.block for segment in plan})
    guard = deployment.guard
    table = Table(title=f"campaign on {executor}", title_justify="left", show_header=False)
    table.add_row("schedulers", ", ".join(deployment.schedulers))
    if deployment.shadow:
        several = len(deployment.schedulers) > 1
        asked = [name for name in shadows if several or name not in deployment.schedulers]
        table.add_row("shadows", ", ".join(asked) or "none: eval.baselines names no other scheduler")
    table.add_row("tasks", f"{deployment.tasks} each, in {number_of(blocks, 'block')}")
    table.add_row("jobs", f"{estimate.jobs}{_limit(guard.max_jobs)}")
    if not deployment.simulated:
        least, most = f"{estimate.least:.0f}", f"{estimate.most:.0f}"
        seconds = least if least == most else f"{least} to {most}"
        limit = _limit(guard.max_quantum_seconds)
        table.add_row("quantum time, estimated", f"{seconds} s{limit}")
    table.add_row("clock", _clock(deployment))
    shown = [f"{node.name} ({node.qubits})" for node in fleet.nodes[:SHOWN_MACHINES]]
    more = len(fleet) - len(shown)
    table.add_row("machines (qubits)", ", ".join(shown) + (f" and {more} more" if more > 0 else ""))
    console.print(table)


def _clock(deployment: Deployment) -> str:
    if deployment.simulated:
        return "simulated" + (", all at once" if deployment.clock == "immediate" else "")
    speed = f", {deployment.speed:g} times as fast" if deployment.clock == "compressed" else ""
    return deployment.clock + speed


def _limit(limit: float | None) -> str:
    return "" if limit is None else f" (limit {limit:g})"


@contextmanager
def campaign_display(campaign: Campaign, console: Console) -> Iterator[Callable[[Campaign], None]]:
    """Show how a campaign goes; give the function to call when something may have changed.

    On a terminal it is a table of machines that stays in place, elsewhere a line now and then.

    Args:
        campaign: The campaign.
        console: Where to show it.
    """
    last = time.monotonic()
    if not console.is_terminal:
        said = ""

        def say(campaign: Campaign) -> None:
            nonlocal last, said
            if time.monotonic() - last > QUIET_SECONDS:
                last, said = time.monotonic(), _line(campaign)
                console.print(said, soft_wrap=True, highlight=False)

        yield say
        if said != (line := _line(campaign)):
            console.print(line, soft_wrap=True, highlight=False)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def draw(campaign: Campaign) -> None:
            nonlocal last
            if time.monotonic() - last > REFRESH_SECONDS:
                last = time.monotonic()
                live.update(_table(campaign), refresh=True)

        yield draw
    console.print(_line(campaign), soft_wrap=True, highlight=False)


def _line(campaign: Campaign) -> str:
    states = Counter(task.state for task in campaign.tasks)
    over = sum(count for state, count in states.items() if state.final)
    parts = [f"{count} {state}" for state, count in sorted(states.items()) if state is not State.PLANNED]
    _, seconds = spent(campaign.tasks)
    return (
        f"campaign: {over} of {len(campaign.tasks)} tasks are over ({', '.join(parts) or 'none sent'}), "
        f"{seconds:.0f} s of {'simulated service' if campaign.deployment.simulated else 'quantum'} time"
    )


def _table(campaign: Campaign) -> Group:
    seconds_are = "service s" if campaign.deployment.simulated else "quantum s"
    table = Table("machine", "status", "queue", "waiting", "running", "done", "failed", seconds_are)
    for name in campaign.scenario.fleet.names[:SHOWN_MACHINES]:
        tasks = [task for task in campaign.tasks if task.node == name]
        states = Counter(task.state for task in tasks)
        machine = campaign.machines.get(name)
        running = states[State.RUNNING]
        ended = states[State.FAILED] + states[State.CANCELLED]
        waiting = sum(not task.state.final for task in tasks) - running
        pending = "?" if machine is None or machine.pending is None else str(machine.pending)
        seconds = sum(task.quantum_seconds or 0.0 for task in tasks)
        status = "?" if machine is None else machine.status if machine.open else f"closed: {machine.status}"
        figures = [waiting, running, states[State.DONE], ended]
        table.add_row(name, status, pending, *map(str, figures), f"{seconds:.1f}")
    return Group(Text(_line(campaign)), table)
