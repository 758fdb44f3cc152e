"""A campaign: real tasks arrive, a scheduler places each, an executor runs it, the journal knows it all.

The order of things is the safety: a task's intent is durable before its order leaves, an order whose fate is
not known is looked for by its tag and never sent again before, and every task ends as done, failed or
cancelled, or waits in the journal for `Campaign.run` to be called again.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from qexp.deploy.deployment import Deployment
from qexp.deploy.executor import AccountError, Executor, LaterError, Machine, Order, RefusedError, UnsureError
from qexp.deploy.fates import Fates
from qexp.deploy.follow import PAUSE, Follower, StoppedError, busy
from qexp.deploy.guard import LimitError
from qexp.deploy.journal import Journal, State, Task
from qexp.deploy.live import LiveFleet
from qexp.deploy.plan import Segment
from qexp.env.scenario import Scenario
from qexp.scheduler.scheduler import Scheduler
from qexp.state import TaskState


@dataclass
class Campaign:
    """One campaign, begun or gone on with.

    Attributes:
        journal: Its journal.
        scenario: The placement problem.
        plan: All segments.
        schedulers: Who places, by name; of these, those that a segment names.
        shadows: Who is asked too, without effect, by name.
        executor: What runs the circuits.
        deployment: The settings.
        on_change: Called with the campaign whenever something may have changed.
        machines: How machines are doing, by the last word of the executor.
        tasks: All tasks.
    """

    journal: Journal
    scenario: Scenario
    plan: Sequence[Segment]
    schedulers: Mapping[str, Scheduler]
    executor: Executor
    deployment: Deployment
    shadows: Mapping[str, Scheduler] = field(default_factory=dict)
    on_change: Callable[[Campaign], object] = id

    def __post_init__(self) -> None:
        self.id: str = self.journal.meta["campaign"]
        self.tasks = self.journal.tasks()
        self.machines: dict[str, Machine] = {}
        self._live = LiveFleet(self.scenario)
        self._not_before = 0.0  # no order is sent earlier: the service asked for a pause
        self._fates = Fates(self.journal, self.executor, self.deployment.retries)
        self._follower = Follower(
            self.executor, self._fates, settle=self.deployment.settle, patience=self.deployment.patience
        )

    def run(self) -> None:
        """Go on until every task is over.

        Raises:
            StoppedError: A limit is reached, or the account is not accepted; what was sent is in the journal.
        """
        try:
            self._follower.reconcile(self.tasks, self.id)
            for segment in self.plan:
                self._run_segment(segment)
        except AccountError as error:
            raise StoppedError(str(error)) from error

    def cancel_queued(self) -> int:
        """Cancel what waits in queues; those tasks are planned again.

        Returns:
            How many.
        """
        cancelled = 0
        for task in self.tasks:
            if task.state not in {State.SUBMITTED, State.QUEUED} or task.job is None:
                continue
            if self._follower.ask("cancel", partial(self.executor.cancel, task.job)):
                self._fates.plan_anew(task, "cancelled at the user's wish")
                cancelled += 1
        return cancelled

    def _run_segment(self, segment: Segment) -> None:
        tasks = [task for task in self.tasks if task.segment == segment.number]
        if all(task.state.final for task in tasks):
            return
        began = self.journal.begin_segment(segment.number, self.executor.now())
        entropy = [self.deployment.seed, segment.block]
        for name, scheduler in {
            **self.shadows,
            segment.scheduler: self.schedulers[segment.scheduler],
        }.items():
            scheduler.start(segment.episode, np.random.default_rng([*entropy, zlib.crc32(name.encode())]))
        for task in tasks:
            task.arrival = began + task.offset
        stopped: LimitError | None = None
        while not all(task.state.final for task in tasks):
            self._follower.observe(tasks)
            self._follower.settle(tasks)
            now = self.executor.now()
            due = next((task for task in tasks if task.state is State.PLANNED), None)
            if due is not None and stopped is None and now >= self._when(due):
                try:
                    self._place(due, segment, tasks, began)
                except LimitError as error:
                    stopped = error
            elif due is not None and stopped is not None and not any(busy(task) for task in tasks):
                break
            else:
                self.executor.wait(self._until_next(due if stopped is None else None, now))
            self.on_change(self)
        if stopped is not None:
            raise StoppedError(str(stopped))
        self.journal.end_segment(segment.number, self.executor.now())

    def _when(self, task: Task) -> float:
        assert task.arrival is not None
        return max(task.arrival, self._not_before)

    def _until_next(self, due: Task | None, now: float) -> float:
        moments = [PAUSE]
        if due is not None:
            moments.append(self._when(due) - now)
        moments += [look - now for _, look in self._follower.looked.values()]
        return max(min(moments), 1e-3)

    def _place(self, task: Task, segment: Segment, tasks: Sequence[Task], began: float) -> None:
        """Choose a machine, write down the intent, and send the order."""
        self._look_at_machines()
        now = self.executor.now()
        assert task.arrival is not None
        row = task.id - tasks[0].id
        episode = segment.episode
        start = time.perf_counter()
        mask = np.isfinite(episode.service[row]) & self._live.open(self.machines)
        if not mask.any():
            if now - task.arrival > self.deployment.patience:
                self._fates.fail(task, "no machine that it fits on was open in deploy.patience seconds")
            self._not_before = now + PAUSE
            return
        nodes = self._live.state(tasks, self.machines, now, began)
        state = TaskState(
            now=now - began,
            arrival=task.arrival - began,
            width=task.width,
            depth=task.depth,
            shots=task.shots,
            reschedules=task.attempt - 1,
            remaining=sum(other.state is State.PLANNED for other in tasks),
            service=episode.service[row],
            esp=episode.esp[row],
            mask=mask,
        )
        node = self.schedulers[segment.scheduler].select(state, nodes)
        seconds = time.perf_counter() - start
        estimate = float(segment.quantum_seconds[row, node])
        self.deployment.guard.check(self.tasks, estimate)
        names = self.scenario.fleet.names
        if self.shadows:
            asked = {name: names[shadow.select(state, nodes)] for name, shadow in self.shadows.items()}
            self.journal.add_shadow(task, asked)
        task.state, task.tag = State.SUBMITTING, f"{self.id}-{task.id}-{task.attempt}"
        task.node, task.decided, task.decision_seconds = names[node], now, seconds
        task.predicted_wait = max(float(nodes.free_at[node]) - (now - began), 0.0)
        task.predicted_service = float(episode.service[row, node])
        task.esp, task.estimated_quantum_seconds = float(episode.esp[row, node]), estimate
        self._fates.save(task, f"on {task.node}")
        self._send(task)

    def _send(self, task: Task) -> None:
        assert task.tag is not None
        assert task.node is not None
        limit = self.deployment.max_execution_seconds
        order = Order(task.tag, self.id, task.node, task.circuit, task.shots, limit)
        try:
            task.job = self.executor.submit(order)
        except RefusedError as error:
            self._fates.came_to_nothing(task, State.FAILED, str(error))
        except LaterError as error:
            self._not_before = self.executor.now() + error.seconds
            self._fates.unplan(task, str(error))
        except UnsureError as error:
            task.state = State.UNKNOWN
            self._fates.save(task, str(error))
        except AccountError as error:
            self._fates.unplan(task, str(error))
            raise
        else:
            task.state = State.SUBMITTED
            self._fates.save(task, f"job {task.job}")

    def _look_at_machines(self) -> None:
        machines = self._follower.ask("machines", self.executor.machines)
        if machines is None:
            return  # the last word stands: better a stale queue length than none
        found = {machine.name: machine for machine in machines}
        for name, machine in found.items():
            before = self.machines.get(name)
            if before is not None and before.open != machine.open:
                word = "opened" if machine.open else "closed"
                self.journal.note(word, self.executor.now(), f"{name}: {machine.status}")
        self.machines = found
