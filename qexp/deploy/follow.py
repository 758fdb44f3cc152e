"""Follows orders that were sent: were they accepted, how are their jobs doing, what did they measure?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from qexp.deploy.executor import Executor, Job, JobState, UndecodableError, UnreachableError
from qexp.deploy.fates import Fates, known
from qexp.deploy.journal import UNDER_WAY, UNSETTLED, State, Task

log = logging.getLogger(__name__)
T = TypeVar("T")

TRIES = 3
"""How often a result is fetched that makes no sense, before the job counts as failed."""
PAUSE = 5.0
"""Seconds before a service that does not answer is asked again."""


class StoppedError(Exception):
    """The campaign cannot go on now; the journal is complete, and the message one line."""


class Follower:
    """Keeps tasks in step with their jobs.

    Args:
        executor: Whom to ask.
        fates: Where to write down what became of tasks.
        settle: Seconds that a job may take to show up under its tag.
        patience: Seconds without an answer after which to give up.
    """

    def __init__(self, executor: Executor, fates: Fates, *, settle: float, patience: float) -> None:
        self.executor, self._fates = executor, fates
        self._settle_seconds, self._patience = settle, patience
        self.looked: dict[int, tuple[float, float]] = {}  # unsettled tasks: since when, and when to look
        self._missing: dict[int, float] = {}  # tasks whose jobs are not listed: since when
        self._unread: dict[int, int] = {}  # results that made no sense: how often
        self._silent: dict[str, float] = {}  # questions that get no answer: since when

    def ask(self, what: str, question: Callable[[], T]) -> T | None:
        """Ask the executor something; None if there is no answer now.

        Raises:
            StoppedError: There has been none for too long.
        """
        try:
            answer = question()
        except UnreachableError as error:
            log.warning("%s: %s", what, error)
            now = self.executor.now()
            if now - self._silent.setdefault(what, now) > self._patience:
                raise StoppedError(f"no answer for deploy.patience seconds: {error}") from error
            return None
        self._silent.pop(what, None)
        return answer

    def reconcile(self, tasks: Sequence[Task], campaign: str) -> None:
        """Find out what became of the orders that an earlier process sent, or may have sent."""
        open_tasks = [task for task in tasks if busy(task)]
        if not open_tasks:
            return
        if not self.executor.keeps_jobs:
            for task in open_tasks:
                self._fates.plan_anew(task, "the jobs of the earlier process are gone")
            return
        self._fates.journal.note("resumed", self.executor.now(), f"{len(open_tasks)} tasks are under way")
        while (found := self.ask("find", partial(self.executor.find, campaign))) is None:
            self.executor.wait(PAUSE)
        jobs = _by_tag(found)
        for task in open_tasks:
            if task.state in UNSETTLED and task.tag in jobs:
                self._adopt(task, jobs[task.tag])

    def settle(self, tasks: Sequence[Task]) -> None:
        """Look for the orders of which it is not known whether they were accepted."""
        for task in tasks:
            if task.state not in UNSETTLED:
                self.looked.pop(task.id, None)
                continue
            now = self.executor.now()
            since, look = self.looked.setdefault(task.id, (now, now))
            if now < look:
                continue
            assert task.tag is not None
            jobs = self.ask("find", partial(self.executor.find, task.tag))
            if jobs is None:
                # Silence is no answer: the time in which a job may show up begins anew.
                self.looked[task.id] = (now, now + PAUSE)
            elif jobs:
                self._adopt(task, jobs)
            elif now - since >= self._settle_seconds:
                self._fates.unplan(task, "the order did not arrive")
            else:
                self.looked[task.id] = (since, now + max(self._settle_seconds / 4, 0.05))

    def _adopt(self, task: Task, jobs: Sequence[Job]) -> None:
        """Take over the job that carries a task's tag."""
        first, *others = jobs
        task.job, task.state = first.id, State.SUBMITTED
        self._fates.save(task, f"found job {first.id} by its tag")
        for other in others:
            # Only a service that repeats requests by itself can make these.
            if not other.state.final and self.ask("cancel", partial(self.executor.cancel, other.id)):
                self._fates.journal.note(
                    "cancelled", self.executor.now(), f"{other.id}: a second job of {task.tag}"
                )

    def observe(self, tasks: Sequence[Task]) -> None:
        """Ask how the jobs are doing and write down what is new."""
        open_tasks = {task.job: task for task in tasks if task.state in UNDER_WAY and task.job is not None}
        if not open_tasks:
            return
        jobs = self.ask("poll", partial(self.executor.poll, list(open_tasks)))
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
        task.created = known(job.created, task.created)
        task.running = known(job.running, task.running)
        task.finished = known(job.finished, task.finished)
        task.quantum_seconds = known(job.quantum_seconds, task.quantum_seconds)
        if job.state is JobState.DONE:
            self._collect(task, job)
        elif job.state is JobState.FAILED:
            self._fates.fail(task, job.error or "the job failed")
        elif job.state is JobState.CANCELLED:
            self._fates.came_to_nothing(task, State.CANCELLED, job.error or "the job was cancelled by others")
        else:
            task.state = State(job.state.value)
            if before != (task.state, task.created, task.running, task.finished):
                self._fates.save(task)

    def _collect(self, task: Task, job: Job) -> None:
        """Fetch a result; a task is done only once its result is in the journal."""
        try:
            answer = self.ask("counts", lambda: [self.executor.counts(job.id)])
        except UndecodableError as error:
            self._unread[task.id] = self._unread.get(task.id, 0) + 1
            if self._unread[task.id] >= TRIES:
                self._fates.fail(task, f"the job is done, but its result cannot be read: {error}")
            return
        if answer is None:
            return
        counts = answer[0]
        task.counts = None if counts is None else dict(counts)
        task.state, task.error = State.DONE, None
        self._fates.save(task)

    def _not_listed(self, task: Task) -> None:
        """Deal with a job that is under way as far as we know, and that the executor does not list."""
        now = self.executor.now()
        since = self._missing.setdefault(task.id, now)
        if now - since < self._settle_seconds:
            return
        assert task.tag is not None
        jobs = self.ask("find", partial(self.executor.find, task.tag))
        if jobs is None:
            return
        del self._missing[task.id]
        if not jobs:
            self._fates.came_to_nothing(task, State.CANCELLED, "the job is gone")


def busy(task: Task) -> bool:
    """Return whether an order of the task is, or may be, at the executor."""
    return task.state in UNDER_WAY or task.state in UNSETTLED


def _by_tag(jobs: Sequence[Job]) -> dict[str | None, list[Job]]:
    found: dict[str | None, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.tag, []).append(job)
    return found
