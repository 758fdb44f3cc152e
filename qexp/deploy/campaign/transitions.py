"""What becomes of tasks: how they end, or begin again; written down as it happens."""

from __future__ import annotations

from qexp.deploy.campaign.journal import Journal, State, Task
from qexp.deploy.executors.executor import Executor

AT_WISH = "cancelled at the user's wish"


class Fates:
    """The journal's pen.

    Args:
        journal: The campaign's journal.
        executor: Whose clock it is.
        retries: How often a task may begin again.
    """

    def __init__(self, journal: Journal, executor: Executor, retries: int) -> None:
        self.journal, self._executor, self._retries = journal, executor, retries
        self._at_wish = {detail for _, _, _, state, detail in journal.events() if state == "cancelling"}

    def cancelling(self, task: Task) -> None:
        """Write down that the user wants a job cancelled, before the request leaves."""
        assert task.tag is not None
        self.journal.note("cancelling", self._executor.now(), task.tag)
        self._at_wish.add(task.tag)

    def cancelled(self, task: Task, reason: str) -> None:
        """Place a task anew whose job was cancelled: that counts against it unless the user wished so."""
        if task.tag in self._at_wish:
            self.excuse(task, AT_WISH)
        else:
            self.came_to_nothing(task, State.CANCELLED, reason)

    def came_to_nothing(self, task: Task, state: State, reason: str) -> None:
        """Place a task anew whose job was refused, cancelled by others or lost, unless it was too often."""
        if task.attempt - task.excused <= self._retries:
            self._plan_anew(task, reason)
            return
        task.state, task.error = state, reason
        self._end(task)

    def excuse(self, task: Task, reason: str) -> None:
        """Place a task anew whose job came to nothing for a reason that `deploy.retries` is not there for."""
        task.excused += 1
        self._plan_anew(task, reason)

    def fail(self, task: Task, reason: str) -> None:
        """End a task as failed."""
        task.state, task.error = State.FAILED, reason
        self._end(task)

    def _end(self, task: Task) -> None:
        task.finished = known(task.finished, self._executor.now())
        self.save(task, task.error or "")

    def _plan_anew(self, task: Task, reason: str) -> None:
        """Give up a job; the next one has another tag."""
        if task.quantum_seconds is not None:
            task.spent += task.quantum_seconds
        elif task.running is not None or task.state is State.RUNNING:
            task.spent += task.estimated_quantum_seconds or 0.0
        task.attempt += 1
        self.unplan(task, reason)

    def unplan(self, task: Task, reason: str) -> None:
        """Take back an intent: nothing is at the executor under the task's tag, or it has had its time."""
        task.state, task.tag, task.node, task.job = State.PLANNED, None, None, None
        task.decided = task.decision_seconds = task.predicted_wait = task.predicted_service = None
        task.esp = task.estimated_quantum_seconds = task.quantum_seconds = None
        task.created = task.running = task.finished = None
        self.save(task, reason)

    def save(self, task: Task, detail: str = "") -> None:
        """Write a task as it is now; durable when this returns."""
        self.journal.save(task, self._executor.now(), detail)


def known(new: float | None, old: float | None) -> float | None:
    """Return the newer figure, if there is one."""
    return old if new is None else new
