"""How tasks end, or are placed again: each transition is written down as it happens."""

from __future__ import annotations

from qexp.deploy.campaign.journal import Journal, State, Task
from qexp.deploy.executors.executor import Executor, latest


class Transitions:
    """Changes tasks, and writes them to the journal at the executor's time.

    A task may be placed again ``retries`` times.
    """

    def __init__(self, journal: Journal, executor: Executor, retries: int) -> None:
        self.journal, self._executor, self._retries = journal, executor, retries
        self._unwanted = {event.detail for event in journal.events() if event.state == "cancelling"}

    def save(self, task: Task, detail: str = "") -> None:
        """Write a task as it is now; durable when this returns.

        Args:
            task: As it is now.
            detail: What happened, for the journal.
        """
        self.journal.save(task, self._executor.now(), detail)

    def note(self, state: str, detail: str) -> None:
        """Write down something that happened to no task in particular.

        Args:
            state: What happened, in a word.
            detail: More of it.
        """
        self.journal.note(state, self._executor.now(), detail)

    def cancelling(self, task: Task) -> None:
        """Write down that the user wants a job cancelled, before the request leaves."""
        assert task.tag is not None
        self.note("cancelling", task.tag)
        self._unwanted.add(task.tag)

    def cancelled(self, task: Task, reason: str) -> None:
        """Place a task again whose job was cancelled: a retry, unless the user wished so.

        Args:
            task: Its job was cancelled.
            reason: For the journal.
        """
        if task.tag in self._unwanted:
            self.excuse(task, "cancelled at the user's wish")
        else:
            self.retry(task, State.CANCELLED, reason)

    def retry(self, task: Task, state: State, reason: str) -> None:
        """Place a task again whose job was refused, cancelled by others or lost; too often, it ends so.

        Args:
            task: Its job is gone.
            state: The task's last state if it may not be placed again.
            reason: Its error then; also for the journal.
        """
        if task.attempt - task.excused <= self._retries:
            self._place_again(task, reason)
        else:
            self._end(task, state, reason)

    def excuse(self, task: Task, reason: str) -> None:
        """Place a task again for a reason that `deploy.retries` is not there for.

        Args:
            task: Its job is gone.
            reason: For the journal.
        """
        task.excused += 1
        self._place_again(task, reason)

    def fail(self, task: Task, reason: str) -> None:
        """End a task as failed.

        Args:
            task: The task that is over.
            reason: Its error; also for the journal.
        """
        self._end(task, State.FAILED, reason)

    def _end(self, task: Task, state: State, reason: str) -> None:
        task.state, task.error = state, reason
        task.finished = latest(task.finished, self._executor.now())
        self.save(task, reason)

    def _place_again(self, task: Task, reason: str) -> None:
        """Give up a job; the next one has another tag."""
        if task.quantum_seconds is not None:
            task.spent += task.quantum_seconds
        elif task.running is not None or task.state is State.RUNNING:
            task.spent += task.estimated_quantum_seconds or 0.0
        task.attempt += 1
        self.withdraw(task, reason)

    def withdraw(self, task: Task, reason: str) -> None:
        """Take back an intent: nothing is at the executor under the task's tag, or it has had its time.

        Args:
            task: The task to be placed again.
            reason: For the journal.
        """
        task.state, task.tag, task.node, task.job = State.PLANNED, None, None, None
        task.decided = task.decision_seconds = task.predicted_wait = task.predicted_service = None
        task.esp = task.estimated_quantum_seconds = task.quantum_seconds = None
        task.created = task.running = task.finished = None
        self.save(task, reason)
