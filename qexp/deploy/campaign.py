"""A campaign: real tasks arrive, a scheduler places each, an executor runs it, the journal knows it all.

The order of things is the safety: a task's intent is durable before its order leaves, an order whose fate is
not known is looked for by its tag and never sent again before, and every task ends as done, failed or
cancelled, or waits in the journal for `Campaign.run` to be called again.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from qexp.deploy.deployment import Deployment
from qexp.deploy.executor import (
    AccountError,
    Executor,
    Job,
    JobState,
    LaterError,
    Machine,
    Order,
    RefusedError,
    UndecodableError,
    UnreachableError,
    UnsureError,
)
from qexp.deploy.guard import LimitError
from qexp.deploy.journal import UNDER_WAY, UNSETTLED, Journal, State, Task
from qexp.deploy.live import LiveFleet
from qexp.deploy.plan import Segment
from qexp.env.scenario import Scenario
from qexp.scheduler.scheduler import Scheduler
from qexp.state import TaskState

log = logging.getLogger(__name__)
T = TypeVar("T")

TRIES = 3
"""How often a result is fetched that makes no sense, before the job counts as failed."""
PAUSE = 5.0
"""Seconds before a closed fleet, or a service that does not answer, is looked at again."""


class StoppedError(Exception):
    """The campaign cannot go on now; the journal is complete, and the message one line."""


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
        self._looked: dict[int, tuple[float, float]] = {}  # unsettled tasks: since when, and when to look
        self._missing: dict[int, float] = {}  # tasks whose jobs are not listed: since when
        self._unread: dict[int, int] = {}  # results that made no sense: how often
        self._silent: dict[str, float] = {}  # questions that get no answer: since when

    def run(self) -> None:
        """Go on until every task is over.

        Raises:
            StoppedError: A limit is reached, or the account is not accepted; what was sent is in the journal.
        """
        try:
            self._reconcile()
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
            if self._ask("cancel", partial(self.executor.cancel, task.job)):
                self._plan_anew(task, "cancelled at the user's wish")
                cancelled += 1
        return cancelled

    # What happens to tasks

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
            self._observe(tasks)
            self._settle(tasks)
            now = self.executor.now()
            due = next((task for task in tasks if task.state is State.PLANNED), None)
            if due is not None and stopped is None and now >= self._when(due):
                try:
                    self._place(due, segment, tasks, began)
                except LimitError as error:
                    stopped = error
            elif due is not None and stopped is not None and not any(_busy(task) for task in tasks):
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
        moments += [look - now for _, look in self._looked.values()]
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
                self._fail(task, "no machine that it fits on was open in deploy.patience seconds")
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
        self._save(task, f"on {task.node}")
        self._send(task)

    def _send(self, task: Task) -> None:
        assert task.tag is not None
        assert task.node is not None
        limit = self.deployment.max_execution_seconds
        order = Order(task.tag, self.id, task.node, task.circuit, task.shots, limit)
        try:
            task.job = self.executor.submit(order)
        except RefusedError as error:
            self._came_to_nothing(task, State.FAILED, str(error))
        except LaterError as error:
            self._not_before = self.executor.now() + error.seconds
            self._unplan(task, str(error))
        except UnsureError as error:
            task.state = State.UNKNOWN
            self._save(task, str(error))
        except AccountError as error:
            self._unplan(task, str(error))
            raise
        else:
            task.state = State.SUBMITTED
            self._save(task, f"job {task.job}")

    # What the executor says

    def _reconcile(self) -> None:
        """Find out what became of the orders that an earlier process sent, or may have sent."""
        open_tasks = [task for task in self.tasks if _busy(task)]
        if not open_tasks:
            return
        if not self.executor.keeps_jobs:
            for task in open_tasks:
                self._plan_anew(task, "the jobs of the earlier process are gone")
            return
        self.journal.note("resumed", self.executor.now(), f"{len(open_tasks)} tasks are under way")
        while (found := self._ask("find", partial(self.executor.find, self.id))) is None:
            self.executor.wait(PAUSE)
        jobs = _by_tag(found)
        for task in open_tasks:
            if task.state in UNSETTLED and task.tag in jobs:
                self._adopt(task, jobs[task.tag])

    def _settle(self, tasks: Sequence[Task]) -> None:
        """Look for the orders of which it is not known whether they were accepted."""
        for task in tasks:
            if task.state not in UNSETTLED:
                self._looked.pop(task.id, None)
                continue
            now = self.executor.now()
            since, look = self._looked.setdefault(task.id, (now, now))
            if now < look:
                continue
            assert task.tag is not None
            jobs = self._ask("find", partial(self.executor.find, task.tag))
            if jobs is None:
                # Silence is no answer: the time in which a job may show up begins anew.
                self._looked[task.id] = (now, now + PAUSE)
            elif jobs:
                self._adopt(task, jobs)
            elif now - since >= self.deployment.settle:
                self._unplan(task, "the order did not arrive")
            else:
                self._looked[task.id] = (since, now + max(self.deployment.settle / 4, 0.05))

    def _adopt(self, task: Task, jobs: Sequence[Job]) -> None:
        """Take over the job that carries a task's tag."""
        first, *others = jobs
        task.job, task.state = first.id, State.SUBMITTED
        self._save(task, f"found job {first.id} by its tag")
        for other in others:
            # Only a service that repeats requests by itself can make these.
            if not other.state.final and self._ask("cancel", partial(self.executor.cancel, other.id)):
                self.journal.note("cancelled", self.executor.now(), f"{other.id}: a second job of {task.tag}")

    def _observe(self, tasks: Sequence[Task]) -> None:
        """Ask how the jobs are doing and write down what is new."""
        open_tasks = {task.job: task for task in tasks if task.state in UNDER_WAY and task.job is not None}
        if not open_tasks:
            return
        jobs = self._ask("poll", partial(self.executor.poll, list(open_tasks)))
        if jobs is None:
            return
        for job in jobs:
            task = open_tasks.pop(job.id)
            self._missing.pop(task.id, None)
            self._update(task, job)
        for task in open_tasks.values():
            self._not_listed(task)

    def _update(self, task: Task, job: Job) -> None:
        before = (task.state, task.created, task.running, task.finished)
        task.created = _known(job.created, task.created)
        task.running = _known(job.running, task.running)
        task.finished = _known(job.finished, task.finished)
        task.quantum_seconds = _known(job.quantum_seconds, task.quantum_seconds)
        if job.state is JobState.DONE:
            self._collect(task, job)
        elif job.state is JobState.FAILED:
            self._fail(task, job.error or "the job failed")
        elif job.state is JobState.CANCELLED:
            self._came_to_nothing(task, State.CANCELLED, job.error or "the job was cancelled by others")
        else:
            task.state = State(job.state.value)
            if before != (task.state, task.created, task.running, task.finished):
                self._save(task)

    def _collect(self, task: Task, job: Job) -> None:
        """Fetch a result; a task is done only once its result is in the journal."""
        try:
            answer = self._ask("counts", lambda: [self.executor.counts(job.id)])
        except UndecodableError as error:
            self._unread[task.id] = self._unread.get(task.id, 0) + 1
            if self._unread[task.id] >= TRIES:
                self._fail(task, f"the job is done, but its result cannot be read: {error}")
            return
        if answer is None:
            return
        counts = answer[0]
        task.counts = None if counts is None else dict(counts)
        task.state, task.error = State.DONE, None
        self._save(task)

    def _not_listed(self, task: Task) -> None:
        """Deal with a job that is under way as far as we know, and that the executor does not list."""
        now = self.executor.now()
        since = self._missing.setdefault(task.id, now)
        if now - since < self.deployment.settle:
            return
        assert task.tag is not None
        jobs = self._ask("find", partial(self.executor.find, task.tag))
        if jobs is None:
            return
        del self._missing[task.id]
        if not jobs:
            self._came_to_nothing(task, State.CANCELLED, "the job is gone")

    def _look_at_machines(self) -> None:
        machines = self._ask("machines", self.executor.machines)
        if machines is None:
            return  # the last word stands: better a stale queue length than none
        found = {machine.name: machine for machine in machines}
        for name, machine in found.items():
            before = self.machines.get(name)
            if before is not None and before.open != machine.open:
                word = "opened" if machine.open else "closed"
                self.journal.note(word, self.executor.now(), f"{name}: {machine.status}")
        self.machines = found

    def _ask(self, what: str, question: Callable[[], T]) -> T | None:
        """Ask the executor something; None if there is no answer now.

        Raises:
            StoppedError: There has been none for too long.
        """
        try:
            answer = question()
        except UnreachableError as error:
            log.warning("%s: %s", what, error)
            now = self.executor.now()
            if now - self._silent.setdefault(what, now) > self.deployment.patience:
                raise StoppedError(f"no answer for deploy.patience seconds: {error}") from error
            return None
        self._silent.pop(what, None)
        return answer

    # How tasks end, or begin again

    def _came_to_nothing(self, task: Task, state: State, reason: str) -> None:
        """Place a task anew whose job was refused, cancelled by others or lost, unless it was too often."""
        if task.attempt <= self.deployment.retries:
            self._plan_anew(task, reason)
            return
        task.state, task.error = state, reason
        self._end(task)

    def _fail(self, task: Task, reason: str) -> None:
        task.state, task.error = State.FAILED, reason
        self._end(task)

    def _end(self, task: Task) -> None:
        task.finished = _known(task.finished, self.executor.now())
        self._save(task, task.error or "")

    def _plan_anew(self, task: Task, reason: str) -> None:
        """Give up a job; the next one has another tag."""
        if task.quantum_seconds is not None:
            task.spent += task.quantum_seconds
        elif task.running is not None:
            task.spent += task.estimated_quantum_seconds or 0.0
        task.attempt += 1
        self._unplan(task, reason)

    def _unplan(self, task: Task, reason: str) -> None:
        """Take back an intent: nothing is at the executor under the task's tag, or it has had its time."""
        task.state, task.tag, task.node, task.job = State.PLANNED, None, None, None
        task.decided = task.decision_seconds = task.predicted_wait = task.predicted_service = None
        task.esp = task.estimated_quantum_seconds = task.quantum_seconds = None
        task.created = task.running = task.finished = None
        self._save(task, reason)

    def _save(self, task: Task, detail: str = "") -> None:
        self.journal.save(task, self.executor.now(), detail)


def _busy(task: Task) -> bool:
    return task.state in UNDER_WAY or task.state in UNSETTLED


def _known(new: float | None, old: float | None) -> float | None:
    return old if new is None else new


def _by_tag(jobs: Sequence[Job]) -> dict[str | None, list[Job]]:
    found: dict[str | None, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.tag, []).append(job)
    return found
