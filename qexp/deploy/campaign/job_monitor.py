"""Follows orders that were sent: were they accepted, how are their jobs doing, what did they measure?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from qexp.deploy.campaign.journal import UNDER_WAY, UNSETTLED, State, Task
from qexp.deploy.campaign.transitions import Fates, known
from qexp.deploy.executors.executor import Executor, Job, JobState, UndecodableError, UnreachableError

log = logging.getLogger(__name__)
T = TypeVar("T")

TRIES = 3
"""How often a result is fetched that makes no sense, at the least, before the job counts as failed."""
PAUSE = 5.0
"""Seconds before a service that does not answer is asked again."""


class StoppedError(Exception):
    """The campaign cannot go on now; the journal is complete, and the message one line.

    Attributes:
        limit: The key of the limit that stopped it, if it was one that can be raised.
    """

    def __init__(self, message: str, limit: str | None = None) -> None:
        super().__init__(message)
        self.limit = limit


@dataclass
class Watch:
    """What is known of one order besides what the journal says; times on the campaign's clock, seconds.

    Attributes:
        unsettled: Since when it is looked for by its tag.
        look: When to look next.
        missing: Since when its job is not listed.
        unread: Since when its result could not be had.
        tries: How often its result was asked for in vain.
        incomplete: Since when its job is over, with times or the bill still to come.
    """

    unsettled: float | None = None
    look: float = 0.0
    missing: float | None = None
    unread: float | None = None
    tries: int = 0
    incomplete: float | None = None


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
        self._watches: dict[int, Watch] = {}  # by task; one for each order, see `begin`
        self._silent: dict[str, float] = {}  # questions that get no answer: since when

    def begin(self, task: Task) -> None:
        """Begin with a new order of a task: nothing that was known of an earlier one holds for it."""
        self._watches[task.id] = Watch()

    def _watch(self, task: Task) -> Watch:
        return self._watches.setdefault(task.id, Watch())

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
                raise self._out_of_patience(error) from error
            return None
        self._silent.pop(what, None)
        return answer

    def _out_of_patience(self, error: UnreachableError) -> StoppedError:
        return StoppedError(f"no answer for deploy.patience={self._patience:g} s: {error}")

    def reconcile(self, tasks: Sequence[Task], campaign: str) -> None:
        """Find out what became of the orders that an earlier process sent, or may have sent."""
        open_tasks = [task for task in tasks if busy(task)]
        if not self.executor.keeps_jobs:
            for task in open_tasks:
                self._fates.excuse(task, "the jobs of the earlier process are gone")
        elif any(task.tag for task in tasks):
            found = self._all_jobs(campaign)
            for task in open_tasks:
                jobs = [job for job in found if job.tag == task.tag]
                if task.state in UNSETTLED and jobs:
                    self._adopt(task, jobs)
            self._account_for(tasks, found)

    def audit(self, tasks: Sequence[Task], campaign: str) -> None:
        """Hold the journal against the executor's list of jobs.

        An order that was given up for lost, and sent again, may turn up later than any time that one could
        wait. It is cancelled if it can be, paid for in the journal if not, and noted in either case.
        """
        if self.executor.keeps_jobs:
            self._account_for(tasks, self._all_jobs(campaign))

    def _all_jobs(self, campaign: str) -> list[Job]:
        while (found := self.ask("find", partial(self.executor.find, campaign))) is None:
            self.executor.wait(PAUSE)
        return found

    def _account_for(self, tasks: Sequence[Task], found: Sequence[Job]) -> None:
        """Deal with jobs of tasks that have, or had, another one."""
        by_id = {task.id: task for task in tasks}
        events = self._fates.journal.events()
        noted = {detail.split(": ")[0] for _, _, _, state, detail in events if state == "twice"}
        for job in found:
            task = by_id.get(_task_of(job.tag))
            if task is None or job.id in noted or job.id == task.job:
                continue
            if job.tag == task.tag:
                extra = task.job is not None
            else:  # an earlier attempt's: given up as cancelled, refused or lost, so it has to be over
                extra = not job.state.final or job.state is JobState.DONE
            if extra:
                self._pay_for(task, job)

    def _pay_for(self, task: Task, job: Job) -> None:
        log.warning("%s is a job too many for task %d", job.id, task.id)
        cancelled = not job.state.final and self.ask("cancel", partial(self.executor.cancel, job.id))
        seen = self.ask("poll", partial(self.executor.poll, [job.id])) or [job]
        charged = seen[0].quantum_seconds
        if charged is None:
            charged = 0.0 if cancelled else task.estimated_quantum_seconds or 0.0
        task.spent += charged
        self._fates.save(task)
        what = "cancelled" if cancelled else f"{charged:.1f} s of quantum time"
        self._fates.journal.note("twice", self.executor.now(), f"{job.id}: a second job of {job.tag}, {what}")

    def settle(self, tasks: Sequence[Task]) -> None:
        """Look for the orders of which it is not known whether they were accepted."""
        for task in tasks:
            if task.state not in UNSETTLED:
                continue
            now, watch = self.executor.now(), self._watch(task)
            if watch.unsettled is None:
                watch.unsettled = watch.look = now
            if now < watch.look:
                continue
            assert task.tag is not None
            jobs = self.ask("find", partial(self.executor.find, task.tag))
            if jobs is None:
                # Silence is no answer: the time in which a job may show up begins anew.
                watch.unsettled, watch.look = now, now + PAUSE
            elif jobs:
                self._adopt(task, jobs)
            elif now - watch.unsettled >= self._settle_seconds:
                self._fates.unplan(task, "the order did not arrive")
            else:
                watch.look = now + max(self._settle_seconds / 4, 0.05)

    def next_look(self, tasks: Sequence[Task]) -> float | None:
        """Return when an order is to be looked for next, None if none is."""
        looks = [self._watch(task).look for task in tasks if task.state in UNSETTLED]
        return min(looks, default=None)

    def _adopt(self, task: Task, jobs: Sequence[Job]) -> None:
        """Take over the job that carries a task's tag."""
        lost = {JobState.CANCELLED, JobState.FAILED}
        best = min(jobs, key=lambda job: job.state in lost)
        task.job, task.state = best.id, State.SUBMITTED
        self._fates.save(task, f"found job {task.job} by its tag")
        self._account_for([task], jobs)

    def observe(self, tasks: Sequence[Task]) -> None:
        """Ask how the jobs are doing and write down what is new."""
        open_tasks = {
            task.job: task
            for task in tasks
            if task.job is not None and (task.state in UNDER_WAY or self._due_for_figures(task))
        }
        if not open_tasks:
            return
        jobs = self.ask("poll", partial(self.executor.poll, list(open_tasks)))
        if jobs is None:
            return
        for job in jobs:
            task = open_tasks.pop(job.id)
            self._watch(task).missing = None
            if task.state.final:
                self._complete(task, job)
            else:
                self._update(task, job)
        for task in open_tasks.values():
            if not task.state.final:
                self._not_listed(task)

    def waits_for_figures(self, tasks: Sequence[Task]) -> bool:
        """Return whether times or bills of jobs that are over may come yet, `deploy.settle` seconds long."""
        now = self.executor.now()
        return self.executor.keeps_jobs and any(
            _incomplete(task) and now - self._since(task, now) < self._settle_seconds for task in tasks
        )

    def _since(self, task: Task, now: float) -> float:
        watch = self._watch(task)
        if watch.incomplete is None:
            watch.incomplete = watch.look = now
        return watch.incomplete

    def _due_for_figures(self, task: Task) -> bool:
        if not self.executor.keeps_jobs or not _incomplete(task):
            return False
        now, watch = self.executor.now(), self._watch(task)
        if now - self._since(task, now) > self._patience or now < watch.look:
            return False
        watch.look = now + min(PAUSE, max(self._settle_seconds / 4, 0.05))
        return True

    def _complete(self, task: Task, job: Job) -> None:
        """Take in what became known of a job after its end."""
        before = (task.created, task.running, task.finished, task.quantum_seconds)
        self._take_figures(task, job)
        if before != (task.created, task.running, task.finished, task.quantum_seconds):
            self._fates.save(task, "figures")

    @staticmethod
    def _take_figures(task: Task, job: Job) -> None:
        task.created = known(job.created, task.created)
        task.running = known(job.running, task.running)
        task.finished = known(job.finished, task.finished)
        task.quantum_seconds = known(job.quantum_seconds, task.quantum_seconds)

    def _update(self, task: Task, job: Job) -> None:
        before = (task.state, task.created, task.running, task.finished)
        self._take_figures(task, job)
        if job.state is JobState.DONE:
            self._collect(task, job)
        elif job.state is JobState.FAILED:
            self._fates.fail(task, job.error or "the job failed")
        elif job.state is JobState.CANCELLED and not self._bill_may_come(task):
            self._fates.cancelled(task, job.error or "the job was cancelled by others")
        else:
            if not job.state.final:
                task.state = State(job.state.value)
            if before != (task.state, task.created, task.running, task.finished):
                self._fates.save(task)

    def _bill_may_come(self, task: Task) -> bool:
        """Return whether to wait, `deploy.settle` seconds, for the bill of a job that was cancelled.

        A task that is placed anew lets go of its job, and nobody would ask for its bill again.
        """
        now = self.executor.now()
        unknown = self.executor.keeps_jobs and task.quantum_seconds is None
        return unknown and now - self._since(task, now) < self._settle_seconds

    def _collect(self, task: Task, job: Job) -> None:
        """Fetch a result; a task is done only once its result is in the journal."""
        now, watch = self.executor.now(), self._watch(task)
        try:
            counts = self.executor.counts(job.id)
        except (UndecodableError, UnreachableError) as error:
            log.warning("result of %s: %s", job.id, error)
            watch.unread = now if watch.unread is None else watch.unread
            watch.tries += 1
            long_enough = self._settle_seconds if isinstance(error, UndecodableError) else self._patience
            if watch.tries < TRIES or now - watch.unread < long_enough:
                return
            # Where the service answers nothing else either, this stops the campaign, not the task.
            if self.ask("find", partial(self.executor.find, task.tag or "")) is not None:
                self._fates.fail(task, f"the job is done, but its result cannot be read: {error}")
            elif isinstance(error, UnreachableError):
                raise self._out_of_patience(error) from error
            return
        task.counts = None if counts is None else dict(counts)
        task.state, task.error = State.DONE, None
        self._fates.save(task)

    def _not_listed(self, task: Task) -> None:
        """Deal with a job that is under way as far as we know, and that the executor does not list."""
        now, watch = self.executor.now(), self._watch(task)
        watch.missing = now if watch.missing is None else watch.missing
        if now - watch.missing < self._settle_seconds:
            return
        assert task.tag is not None
        jobs = self.ask("find", partial(self.executor.find, task.tag))
        if jobs is None:
            return
        watch.missing = None
        if not jobs:
            self._fates.cancelled(task, "the job is gone")


def busy(task: Task) -> bool:
    """Return whether an order of the task is, or may be, at the executor."""
    return task.state in UNDER_WAY or task.state in UNSETTLED


def _incomplete(task: Task) -> bool:
    """Return whether a job is over, and when it ran or what it cost is not known."""
    if not task.state.final or task.job is None:
        return False
    never_ran = task.state is State.CANCELLED and task.running is None
    return not never_ran and None in (task.running, task.finished, task.quantum_seconds)


def _task_of(tag: str) -> int:
    """Return the task that an order's tag names, -1 for none."""
    parts = tag.split("-")
    return int(parts[-2]) if len(parts) > 2 and parts[-2].isdigit() else -1
