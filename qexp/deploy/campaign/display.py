"""A campaign on the console: the plan before it, machines and queues while it runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from qexp.deploy.campaign.journal import State
from qexp.deploy.campaign.plan import Estimate, Segment
from qexp.deploy.campaign.spend_guard import spent
from qexp.deploy.deployment import Deployment
from qexp.fleet.fleet import Fleet
from qexp.report.progress import QUIET_SECONDS
from qexp.report.table import Column, Row, Table
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
    """Print what a campaign will do and may cost.

    Args:
        plan: The campaign's segments, in order.
        estimate: Of jobs and quantum time.
        deployment: Its options.
        fleet: The machines.
        console: Where to print.
        executor: Name of the executor.
        shadows: Schedulers to be asked what they would choose.
    """
    blocks = len({segment.block for segment in plan})
    guard = deployment.guard
    facts = {"schedulers": ", ".join(deployment.schedulers)}
    if deployment.shadow:
        several = len(deployment.schedulers) > 1
        asked = [name for name in shadows if several or name not in deployment.schedulers]
        facts["shadows"] = ", ".join(asked) or "none: eval.baselines names no other scheduler"
    facts["tasks"] = f"{deployment.tasks} each, in {number_of(blocks, 'block')}"
    facts["jobs"] = f"{estimate.jobs}{_limit(guard.max_jobs)}"
    if not deployment.simulated:
        least, most = f"{estimate.least:.0f}", f"{estimate.most:.0f}"
        seconds = least if least == most else f"{least} to {most}"
        facts["quantum time, estimated"] = f"{seconds} s{_limit(guard.max_quantum_seconds)}"
    facts["clock"] = _clock(deployment)
    shown = [f"{node.name} ({node.qubits})" for node in fleet.nodes[:SHOWN_MACHINES]]
    more = len(fleet) - len(shown)
    facts["machines (qubits)"] = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    columns = [Column("fact", "", words=True), Column("value", "", words=True)]
    rows = [{"fact": fact, "value": value} for fact, value in facts.items()]
    console.print(Table(f"campaign on {executor}", columns, rows))


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
    last, said = time.monotonic(), ""
    wait = REFRESH_SECONDS if console.is_terminal else QUIET_SECONDS
    say = partial(console.print, soft_wrap=True, highlight=False)
    terminal = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
    with terminal or nullcontext():

        def show(campaign: Campaign) -> None:
            nonlocal last, said
            if time.monotonic() - last <= wait:
                return
            last = time.monotonic()
            if terminal is not None:
                terminal.update(_table(campaign), refresh=True)
            else:
                said = _line(campaign)
                say(said)

        yield show
    if said != (line := _line(campaign)):
        say(line)


def _line(campaign: Campaign) -> str:
    states = Counter(task.state for task in campaign.tasks)
    over = sum(count for state, count in states.items() if state.final)
    parts = [f"{count} {state}" for state, count in sorted(states.items()) if state is not State.PLANNED]
    _, seconds = spent(campaign.tasks)
    return (
        f"campaign: {over} of {len(campaign.tasks)} tasks are over ({', '.join(parts) or 'none sent'}), "
        f"{seconds:.0f} s of {'simulated service' if campaign.deployment.simulated else 'quantum'} time"
    )


def _table(campaign: Campaign) -> Table:
    """Return how all tasks stand, and how each machine's do."""
    simulated = campaign.deployment.simulated
    return Table(
        _line(campaign),
        [
            Column("machine", words=True),
            Column("status", words=True),
            *(Column(key) for key in ("queue", "waiting", "running", "done", "failed")),
            Column("seconds", f"{'service' if simulated else 'quantum'} s", format="{:.1f}".format),
        ],
        [_row(campaign, name) for name in campaign.scenario.fleet.names[:SHOWN_MACHINES]],
    )


def _row(campaign: Campaign, name: str) -> Row:
    tasks = [task for task in campaign.tasks if task.node == name]
    states = Counter(task.state for task in tasks)
    machine, running = campaign.machines.get(name), states[State.RUNNING]
    return {
        "machine": name,
        "status": "?" if machine is None else machine.status if machine.open else f"closed: {machine.status}",
        "queue": "?" if machine is None or machine.pending is None else machine.pending,
        "waiting": sum(not task.state.final for task in tasks) - running,
        "running": running,
        "done": states[State.DONE],
        "failed": states[State.FAILED] + states[State.CANCELLED],
        "seconds": sum(task.quantum_seconds or 0.0 for task in tasks),
    }
