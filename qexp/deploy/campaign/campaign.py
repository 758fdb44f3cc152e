"""A campaign: real tasks arrive, a scheduler places each, an executor runs it, the journal knows it all.

The order of things is the safety: a task's intent is durable before its order leaves, an order of which it is
not known whether it was accepted is looked for by its tag and never sent again before, and every task ends as
done, failed or cancelled, or waits in the journal for `Campaign.run` to be called again.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from qexp.deploy.campaign.job_monitor import PAUSE, JobMonitor, busy
from qexp.deploy.campaign.journal import Journal, State, Task
from qexp.deploy.campaign.live import LiveFleet
from qexp.deploy.campaign.plan import Segment
from qexp.deploy.campaign.spend_guard import Guard, LimitError, StoppedError, charged_for
from qexp.deploy.campaign.transitions import Transitions
from qexp.deploy.deployment import Deployment
from qexp.deploy.executors import errors
from qexp.deploy.executors.executor import Executor, Machine, Order
from qexp.placement.scenario import Scenario
from qexp.placement.schedulers.placer import Placer, node_chosen
from qexp.placement.state import TaskState
from qexp.problem.arrays import Bools


@dataclass
class Campaign:
    """One campaign, new or resumed.

    Attributes:
        schedulers: Who places, by name; of these, those that a segment names. All are asked without effect
            when another places, if the settings say so.
        on_change: Called with the campaign whenever something may have changed.
        machines: How machines are doing, by the last word of the executor.
    """

    journal: Journal
    scenario: Scenario
    plan: Sequence[Segment]
    schedulers: Mapping[str, Placer]
    executor: Executor
    deployment: Deployment
    on_change: Callable[[Campaign], object] = id

    def __post_init__(self) -> None:
        self.id: str = self.journal.meta["campaign"]
        self.tasks = self.journal.tasks()
        self.machines: dict[str, Machine] = {}
        self._live = LiveFleet(self.scenario)
        self._not_before = 0.0  # no order is sent earlier: the service asked for a pause
        self._put_off: float | None = None  # since when the service has put off every order
        self._blocked: dict[int, tuple[float, float]] = {}  # tasks without a machine: since when, try when
        self._guards = [self.deployment.guard]
        self._transitions = Transitions(self.journal, self.executor, self.deployment.retries)
        settle, patience = self.deployment.settle, self.deployment.patience
        self._monitor = JobMonitor(self.executor, self._transitions, settle=settle, patience=patience)

    def run(self) -> None:
        """Continue until every task is over; raise `StoppedError` where a limit or the account forbids it."""
        try:
            self._monitor.reconcile(self.tasks, self.id)
            for segment in self.plan:
                self._run_segment(segment)
        except errors.AccountError as error:
            raise StoppedError(str(error)) from error

    @property
    def in_queues(self) -> list[Task]:
        """Tasks whose jobs have not begun."""
        return [t for t in self.tasks if t.state in {State.SUBMITTED, State.QUEUED} and t.job is not None]

    def cancel_queued(self) -> int:
        """Cancel what waits in queues, to be planned again, and return how many jobs that were."""
        waiting, cancelled = self.in_queues, 0
        for task in waiting:
            self._transitions.cancelling(task)
            cancelled += bool(self._monitor.ask(self.executor.cancel, task.job or ""))
        self._monitor.observe(waiting)
        return cancelled

    def _run_segment(self, segment: Segment) -> None:
        tasks = [task for task in self.tasks if task.segment == segment.number]
        if all(task.state.final for task in tasks):
            return
        began = self.journal.begin_segment(segment.number, self.executor.now())
        for task in tasks:
            task.arrival = began + task.offset
        self._guards = self._limits()
        self._start_schedulers(segment, tasks)
        stopped: LimitError | None = None
        while not all(task.state.final for task in tasks) or self._monitor.waits_for_figures(tasks):
            self._monitor.observe(tasks)
            self._monitor.settle(tasks)
            now = self.executor.now()
            planned = [] if stopped else [task for task in tasks if task.state is State.PLANNED]
            due = next((task for task in planned if now >= self._when(task)), None)
            if due is not None:
                try:
                    self._place(due, segment, tasks, began)
                except LimitError as error:
                    stopped = error
            elif stopped is not None and not any(map(busy, tasks)):
                break
            else:
                moments = [now + PAUSE, *map(self._when, planned), *self._monitor.next_due(tasks)]
                self.executor.wait(max(min(moments) - now, 1e-3))
            self.on_change(self)
        self._monitor.audit(self.tasks, self.id)
        if stopped is not None:
            raise stopped
        self.journal.end_segment(segment.number, self.executor.now())

    def _shadows(self, segment: Segment) -> dict[str, Placer]:
        if not self.deployment.shadow:
            return {}
        return {name: who for name, who in self.schedulers.items() if name != segment.scheduler}

    def _start_schedulers(self, segment: Segment, tasks: Sequence[Task]) -> None:
        """Begin an episode, and ask again what an earlier process asked: whose turn it is depends on it."""
        asked = self._shadows(segment) | {segment.scheduler: self.schedulers[segment.scheduler]}
        for name, scheduler in asked.items():
            entropy = [self.deployment.seed, segment.block, zlib.crc32(name.encode())]
            scheduler.start(segment.episode, np.random.default_rng(entropy))
        nodes = self._live.state([], {}, 0.0, 0.0)
        for row, task in enumerate(tasks):
            if times := task.attempt - (task.state is State.PLANNED):
                mask = np.isfinite(segment.episode.service[row])
                state = self._task_state(segment, row, task, tasks, task.offset, mask)
                for scheduler in asked.values():
                    for _ in range(times):
                        scheduler.select(state, nodes)

    def _limits(self) -> list[Guard]:
        """Return the user's limits, and what the account itself has left, which others may use too."""
        own, left = self.deployment.guard, None
        with suppress(errors.UnreachableError):
            left = self.executor.quantum_seconds_left()
        if left is None:
            return [own]
        name = "the quantum time that the account had left for this"
        return [own, Guard(None, charged_for(self.tasks) + left, own.most, name)]

    def _when(self, task: Task) -> float:
        """Return when a task can be placed at the earliest."""
        _, try_at = self._blocked.get(task.id, (0.0, 0.0))
        return max(task.arrival or 0.0, self._not_before, try_at)

    def _place(self, task: Task, segment: Segment, tasks: Sequence[Task], began: float) -> None:
        """Choose a machine, write down the intent, and send the order."""
        self._ask_for_machines()
        now, row, start = self.executor.now(), task.id - tasks[0].id, time.perf_counter()
        mask = np.isfinite(segment.episode.service[row]) & self._live.open(self.machines)
        if not mask.any():
            self._no_machine(task, now)
            return
        costs = segment.quantum_seconds[row]
        bills = any(map(busy, tasks)) or self._monitor.waits_for_figures(tasks)
        if not all(guard.allows(self.tasks, float(costs[mask].max()), bills=bills) for guard in self._guards):
            self._not_before = now + 1.0  # bills of others have to come first
            return
        nodes, names = self._live.state(tasks, self.machines, now, began), self.scenario.fleet.names
        state = self._task_state(segment, row, task, tasks, now - began, mask)
        node = node_chosen(self.schedulers[segment.scheduler], state, nodes, task.id, names)
        task.decision_seconds = time.perf_counter() - start
        if shadows := self._shadows(segment):
            others = {name: node_chosen(who, state, nodes, task.id, names) for name, who in shadows.items()}
            self.journal.add_shadow(task, {name: names[other] for name, other in others.items()})
        task.state, task.tag = State.SUBMITTING, f"{self.id}-{task.id}-{task.attempt}"
        task.node, task.decided = names[node], now
        task.predicted_wait = max(float(nodes.free_at[node]) - (now - began), 0.0)
        task.predicted_service = float(segment.episode.service[row, node])
        task.esp = float(segment.episode.esp[row, node])
        if not self.deployment.simulated:
            task.estimated_quantum_seconds = float(costs[node])
        self._transitions.save(task, f"on {task.node}")
        self._send(task)

    def _no_machine(self, task: Task, now: float) -> None:
        """Let a task wait for a machine, or fail if it has waited too long."""
        since, _ = self._blocked.get(task.id, (now, now))
        self._blocked[task.id] = (since, now + PAUSE)
        if now - since > self.deployment.patience:
            self._transitions.fail(task, "no machine that it fits on was open in deploy.patience seconds")

    def _task_state(
        self, segment: Segment, row: int, task: Task, tasks: Sequence[Task], now: float, mask: Bools
    ) -> TaskState:
        """Return what schedulers see of a task, times in seconds since the segment began."""
        return TaskState(
            now=now,
            arrival=task.offset,
            width=task.width,
            depth=task.depth,
            shots=task.shots,
            reschedules=task.attempt - 1,
            remaining=sum(other.state is State.PLANNED for other in tasks),
            service=segment.episode.service[row],
            esp=segment.episode.esp[row],
            mask=mask,
        )

    def _send(self, task: Task) -> None:
        assert task.tag is not None
        assert task.node is not None
        self._monitor.begin(task)
        self._blocked.pop(task.id, None)
        order = Order(task.tag, self.id, task.node, task.circuit, task.shots, self.deployment.guard.most)
        try:
            task.job = self.executor.submit(order)
        except errors.RefusedError as error:
            self._transitions.retry(task, State.FAILED, str(error))
        except errors.LaterError as error:
            now = self.executor.now()
            self._not_before = now + error.seconds
            self._transitions.withdraw(task, str(error))
            self._put_off = now if self._put_off is None else self._put_off
            if now - self._put_off > self.deployment.patience:
                raise StoppedError(f"no order was accepted in deploy.patience seconds: {error}") from error
        except errors.UnsureError as error:
            task.state = State.UNKNOWN
            self._transitions.save(task, str(error))
        except errors.AccountError as error:
            self._transitions.withdraw(task, str(error))
            raise
        else:
            self._put_off = None
            task.state = State.SUBMITTED
            self._transitions.save(task, f"job {task.job}")

    def _ask_for_machines(self) -> None:
        machines = self._monitor.ask(self.executor.machines)
        if machines is None:
            return  # the last word stands: better a stale queue length than none
        for machine in machines:
            before = self.machines.get(machine.name)
            if before is not None and before.open != machine.open:
                word = "opened" if machine.open else "closed"
                self._transitions.note(word, f"{machine.name}: {machine.status}")
        self.machines = {machine.name: machine for machine in machines}
