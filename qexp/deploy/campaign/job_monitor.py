"""The job monitor: were orders accepted, how are their jobs doing, what did they measure?"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import ParamSpec, TypeVar

from qexp.deploy.campaign.journal import UNDER_WAY, UNSETTLED, State, Task
from qexp.deploy.campaign.spend_guard import StoppedError
from qexp.deploy.campaign.transitions import Transitions
from qexp.deploy.executors import errors
from qexp.deploy.executors.executor import Executor, Job, JobState, latest

log = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")

TRIES = 3
"""How often a result is fetched that makes no sense, at the least, before the job counts as failed."""
PAUSE = 5.0
"""Seconds before a service that does not answer is asked again."""
FIGURES = ("created", "running", "finished", "quantum_seconds")
_seen = attrgetter("state", *FIGURES)  # of a task: all that a look at its job may change by itself


@dataclass
class Watch:
    """Knowledge of one order besides what the journal says; times on the campaign's clock, seconds.

    Attributes:
        since: Since when it is ``unsettled`` (looked for by its tag), ``missing`` from the list of jobs,
            ``unread`` (no result could be had), or ``incomplete`` (over, with times or the bill to come).
        due: When to ask for it next.
        tries: How often its result was asked for in vain.
    """

    since: dict[str, float] = field(default_factory=dict)
    due: float = 0.0
    tries: int = 0


class JobMonitor:
    """Keeps tasks in step with their jobs; settle and patience are the deployment's, seconds."""

    def __init__(
        self, executor: Executor, transitions: Transitions, *, settle: float, patience: float
    ) -> None:
        self.executor, self._transitions = executor, transitions
        self._settle_seconds, self._patience = settle, patience
        self._pause = max(settle / 4, 0.05)
        self._watches: dict[int, Watch] = defaultdict(Watch)  # by task; one for each order, see `begin`
        self._silent: dict[str, float] = {}  # questions that get no answer: since when

    def begin(self, task: Task) -> None:
        """Begin with a new order of a task: nothing that was known of an earlier one holds for it."""
        self._watches.pop(task.id, None)

    def ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Ask the executor by one of its methods; None: no answer now; `StoppedError`: none for too long."""
        what = question.__name__
        try:
            answer = question(*args, **kwargs)
        except errors.UnreachableError as error:
            log.warning("%s: %s", what, error)
            now = self.executor.now()
            if now - self._silent.setdefault(what, now) > self._patience:
                raise StoppedError(f"no answer for deploy.patience={self._patience:g} s: {error}") from error
            return None
        self._silent.pop(what, None)
        return answer

    def _waited(self, task: Task, state: str) -> float:
        """Return how long a task's order has been in a state of `Watch.since`; from now on, if it was not."""
        now = self.executor.now()
        return now - self._watches[task.id].since.setdefault(state, now)

    def reconcile(self, tasks: Sequence[Task], campaign: str) -> None:
        """Find out what became of the orders that an earlier process sent, or may have sent.

        Args:
            tasks: All of the campaign's, with their journal's state.
            campaign: The tag that all its jobs carry.
        """
        open_tasks = [task for task in tasks if busy(task)]
        if not self.executor.keeps_jobs:
            for task in open_tasks:
                self._transitions.excuse(task, "the jobs of the earlier process are gone")
        elif any(task.tag for task in tasks):
            jobs = self._all_jobs(campaign)
            for task in open_tasks:
                its = [job for job in jobs if job.tag == task.tag]
                if task.state in UNSETTLED and its:
                    self._adopt(task, its)
            self._account_for(tasks, jobs)

    def audit(self, tasks: Sequence[Task], campaign: str) -> None:
        """Hold the journal against the executor's list of jobs.

        An order that was given up for lost, and sent again, may turn up later than any time that one could
        wait. It is cancelled if it can be, paid for in the journal if not, and noted in either case.

        Args:
            tasks: All of the campaign's, with their journal's state.
            campaign: The tag that all its jobs carry.
        """
        if self.executor.keeps_jobs:
            self._account_for(tasks, self._all_jobs(campaign))

    def _all_jobs(self, campaign: str) -> list[Job]:
        while (jobs := self.ask(self.executor.find, campaign)) is None:
            self.executor.wait(PAUSE)
        return jobs

    def _account_for(self, tasks: Sequence[Task], jobs: Sequence[Job]) -> None:
        """Deal with jobs of tasks that have, or had, another one."""
        by_id = {task.id: task for task in tasks}
        events = self._transitions.journal.events()
        noted = {event.detail.split(": ")[0] for event in events if event.state == "twice"}
        for job in jobs:
            number = job.tag.split("-")[-2:-1]  # an order's tag is CAMPAIGN-TASK-ATTEMPT
            task = by_id.get(int(number[0])) if number and number[0].isdigit() else None
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
        cancelled = not job.state.final and self.ask(self.executor.cancel, job.id)
        seen = self.ask(self.executor.poll, [job.id]) or [job]
        charged = seen[0].quantum_seconds
        if charged is None:
            charged = 0.0 if cancelled else task.estimated_quantum_seconds or 0.0
        task.spent += charged
        self._transitions.save(task)
        bill = "cancelled" if cancelled else f"{charged:.1f} s of quantum time"
        self._transitions.note("twice", f"{job.id}: a second job of {job.tag}, {bill}")

    def settle(self, tasks: Sequence[Task]) -> None:
        """Look for the orders of which it is not known whether they were accepted."""
        for task in tasks:
            if task.state not in UNSETTLED:
                continue
            now, watch = self.executor.now(), self._watches[task.id]
            waited = self._waited(task, "unsettled")
            if now < watch.due:
                continue
            jobs = self.ask(self.executor.find, task.tag or "")
            if jobs is None:
                # Silence is no answer: the time in which a job may show up begins again.
                watch.since["unsettled"], watch.due = now, now + PAUSE
            elif jobs:
                self._adopt(task, jobs)
            elif waited >= self._settle_seconds:
                self._transitions.withdraw(task, "the order did not arrive")
            else:
                watch.due = now + self._pause

    def next_due(self, tasks: Sequence[Task]) -> list[float]:
        """Return when orders are to be looked for next, on the campaign's clock, seconds."""
        return [self._watches[task.id].due for task in tasks if task.state in UNSETTLED]

    def _adopt(self, task: Task, jobs: Sequence[Job]) -> None:
        best = min(jobs, key=lambda job: job.state in {JobState.CANCELLED, JobState.FAILED})
        task.job, task.state, self._watches[task.id].due = best.id, State.SUBMITTED, 0.0
        self._transitions.save(task, f"found job {task.job} by its tag")
        self._account_for([task], jobs)

    def observe(self, tasks: Sequence[Task]) -> None:
        """Ask how the jobs are doing and write down what is new."""
        open_tasks = {
            task.job: task
            for task in tasks
            if task.job is not None and (task.state in UNDER_WAY or self._figures_due(task))
        }
        jobs = self.ask(self.executor.poll, list(open_tasks)) if open_tasks else None
        if jobs is None:
            return
        for job in jobs:
            task = open_tasks.pop(job.id)
            self._watches[task.id].since.pop("missing", None)
            self._update(task, job)
        for task in open_tasks.values():
            if not task.state.final:
                self._not_listed(task)

    def waits_for_figures(self, tasks: Sequence[Task]) -> bool:
        """Return whether times or bills of jobs that are over may come yet, `deploy.settle` seconds long."""
        return any(
            self._incomplete(task) and self._waited(task, "incomplete") < self._settle_seconds
            for task in tasks
        )

    def _figures_due(self, task: Task) -> bool:
        now, watch = self.executor.now(), self._watches[task.id]
        if not self._incomplete(task) or self._waited(task, "incomplete") > self._patience or now < watch.due:
            return False
        watch.due = now + min(PAUSE, self._pause)
        return True

    def _incomplete(self, task: Task) -> bool:
        """Return whether a job is over, and when it ran or what it cost may become known yet."""
        if not self.executor.keeps_jobs or not task.state.final or task.job is None:
            return False
        never_ran = task.state is State.CANCELLED and task.running is None
        return not never_ran and None in (task.running, task.finished, task.quantum_seconds)

    def _update(self, task: Task, job: Job) -> None:
        """Take in what is known of a job: where it is, and its figures, which may come after its end."""
        before, over = _seen(task), task.state.final
        for name in FIGURES:
            setattr(task, name, latest(getattr(job, name), getattr(task, name)))
        if not over and job.state is JobState.DONE:
            self._collect(task, job)
        elif not over and job.state is JobState.FAILED:
            self._transitions.fail(task, job.error or "the job failed")
        elif not over and job.state is JobState.CANCELLED and not self._bill_may_come(task):
            self._transitions.cancelled(task, job.error or "the job was cancelled by others")
        else:
            if not over and not job.state.final:
                task.state = State(job.state.value)
            if _seen(task) != before:
                self._transitions.save(task, "figures" if over else "")

    def _bill_may_come(self, task: Task) -> bool:
        # A task that is placed again lets go of its job, and nobody would ask for its bill again.
        unknown = self.executor.keeps_jobs and task.quantum_seconds is None
        return unknown and self._waited(task, "incomplete") < self._settle_seconds

    def _collect(self, task: Task, job: Job) -> None:
        """Fetch a result; a task is done only once its result is in the journal."""
        try:
            counts = self.executor.counts(job.id)
        except (errors.UndecodableError, errors.UnreachableError) as error:
            log.warning("result of %s: %s", job.id, error)
            watch, waited = self._watches[task.id], self._waited(task, "unread")
            watch.tries += 1
            silent = isinstance(error, errors.UnreachableError)
            if watch.tries < TRIES or waited < (self._patience if silent else self._settle_seconds):
                return
            # Where the service answers nothing else either, this stops the campaign, not the task.
            if self.ask(self.executor.find, task.tag or "") is not None:
                self._transitions.fail(task, f"the job is done, but its result cannot be read: {error}")
            elif silent:
                raise StoppedError(f"no answer for deploy.patience={self._patience:g} s: {error}") from error
            return
        task.counts = None if counts is None else dict(counts)
        task.state, task.error = State.DONE, None
        self._transitions.save(task)

    def _not_listed(self, task: Task) -> None:
        if self._waited(task, "missing") < self._settle_seconds:
            return
        jobs = self.ask(self.executor.find, task.tag or "")
        if jobs is not None:
            self._watches[task.id].since.pop("missing")
        if jobs == []:
            self._transitions.cancelled(task, "the job is gone")


def busy(task: Task) -> bool:
    """Return whether an order of the task is, or may be, at the executor."""
    return task.state in UNDER_WAY or task.state in UNSETTLED
