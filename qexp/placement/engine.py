"""The event-driven engine on SimPy, the reference.

Machines are SimPy processes that serve their queues; arriving and returning tasks are events that hand the
task to the broker. The engine stops whenever the broker holds a task, so that a loop, a Gymnasium
environment or a deployment can decide.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import simpy
from simpy.events import NORMAL, URGENT, Event, EventPriority

from qexp.fleet.fleet import Fleet
from qexp.placement.batched import NEVER
from qexp.placement.episode import DEFAULT_RULES, Episode, Rules
from qexp.placement.fcfs import served
from qexp.placement.state import NodeState, Placed, TaskState

# At one instant, returned tasks ask before new ones arrive.
RETURN, ARRIVE = URGENT, NORMAL


class Status(Enum):
    """Where a task is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class QTask:
    """One task and its log; times in seconds, NaN until they are known."""

    index: int  # position in the episode
    status: Status = Status.QUEUED  # until it runs; FAILED if it was refused ``max_refusals`` times
    node: int = -1  # index of the machine it was placed on, -1 before
    placement: float = np.nan  # when it was placed
    start: float = np.nan
    finish: float = np.nan
    delay: float = 0.0  # rescheduling delays, summed
    reschedules: int = 0  # how often it was refused

    @property
    def wait(self) -> float:
        """Seconds between placement and start."""
        return self.start - self.placement


@dataclass(slots=True)
class _Machine:
    queue: simpy.Store
    free_at: float = NEVER
    ends: deque[float] = field(default_factory=deque)  # of the tasks placed here and not over, ascending

    def pending(self, now: float) -> int:
        while self.ends and self.ends[0] <= now:
            self.ends.popleft()
        return len(self.ends)


class SimulatedCloud:
    """One episode of the quantum cloud.

    Args:
        fleet: The machines.
        episode: The tasks.
        rules: How machines take them.

    Attributes:
        tasks: All tasks with their logs.
        waiting: The task that needs a decision, or None when the episode is over.
    """

    def __init__(self, fleet: Fleet, episode: Episode, rules: Rules = DEFAULT_RULES) -> None:
        self._env = simpy.Environment()
        self._fleet, self._episode, self._rules = fleet, episode, rules
        self._choices: list[int] = []  # so far
        self._fits = np.isfinite(episode.service)
        self._masks = self._fits if rules.mask else np.ones_like(self._fits)
        self._refusals = 0
        self._left = len(episode)
        self._machines = [_Machine(simpy.Store(self._env)) for _ in fleet.nodes]
        for machine in self._machines:
            self._env.process(self._work(machine.queue))
            if rules.initial_backlog > 0:
                machine.free_at = rules.initial_backlog
                machine.queue.put((None, rules.initial_backlog))
        self.tasks = [QTask(index) for index in range(len(episode))]
        self.waiting: QTask | None = None
        for task, arrival in zip(self.tasks, episode.arrival.tolist(), strict=True):
            self._ask_after(arrival, task, ARRIVE)
        self._advance()

    def __reduce__(self) -> tuple[Any, ...]:
        """Let copies and pickles replay the choices: SimPy's processes cannot be copied."""
        over = self._env.peek() == float("inf")
        return _replayed, (self._fleet, self._episode, self._rules, self._choices, over)

    def __deepcopy__(self, memo: dict[int, Any]) -> SimulatedCloud:
        """Return an independent cloud; fleet and episode, which never change, are shared."""
        return _replayed(*self.__reduce__()[1])

    @property
    def now(self) -> float:
        """Simulated time, seconds."""
        return float(self._env.now)

    def place(self, node: int) -> Placed:
        """Put the waiting task on a machine, or have it refused, and move to the next decision.

        Args:
            node: Index of the machine in the fleet.
        """
        if self.waiting is None:
            raise RuntimeError("no task waits for a decision: the episode is over")
        self._choices.append(node)
        task, self.waiting = self.waiting, None
        placed = self._queue(task, node) if self._fits[task.index, node] else self._refuse(task)
        self._advance()
        return placed

    def _queue(self, task: QTask, node: int) -> Placed:
        machine, now = self._machines[node], self._env.now
        service, esp = (
            float(table[task.index, node]) for table in (self._episode.service, self._episode.esp)
        )
        start, machine.free_at = map(float, served(now, service, machine.free_at))
        wait = start - now
        machine.ends.append(machine.free_at)
        machine.queue.put((task, service))
        task.node, task.placement = node, now
        self._refusals = 0
        self._left -= 1
        return Placed(False, wait, service, wait + service, task.delay, esp, self._left == 0, False)

    def _refuse(self, task: QTask) -> Placed:
        task.reschedules += 1
        again = self._rules.rescheduling_delay
        task.delay = task.reschedules * again
        self._refusals += 1
        gave_up = task.reschedules >= self._rules.max_refusals
        if gave_up:
            task.status = Status.FAILED
        else:
            self._ask_after(again, task, RETURN)
        return Placed(True, 0.0, 0.0, again, task.delay, 0.0, False, gave_up)

    def finish(self) -> None:
        """Let the machines work off their queues, so that every task's log is complete."""
        self._env.run()

    def task_state(self) -> TaskState:
        """Return the state of the waiting task (of an ended episode: of its last task)."""
        i = (self.waiting or self.tasks[-1]).index
        episode = self._episode
        return TaskState(
            now=self.now,
            arrival=float(episode.arrival[i]),
            width=int(episode.width[i]),
            depth=int(episode.depth[i]),
            shots=episode.shots,
            reschedules=self.tasks[i].reschedules,
            remaining=self._left,
            service=episode.service[i],
            esp=episode.esp[i],
            mask=self._masks[i],
        )

    def node_state(self) -> NodeState:
        """Return the state of the machines now."""
        return NodeState(
            qubits=self._fleet.qubits,
            clops=self._fleet.clops,
            readout_error=self._fleet.readout_error,
            free_at=np.array([machine.free_at for machine in self._machines]),
            pending=np.array([machine.pending(self._env.now) for machine in self._machines]),
            refusals=self._refusals,
        )

    def _advance(self) -> None:
        """Run until the broker holds a task, or nothing can ask any more."""
        env = self._env
        while self.waiting is None and self._left and env.peek() < float("inf"):
            env.step()

    def _ask_after(self, delay: float, task: QTask, priority: EventPriority) -> None:
        """Have the broker hold a task ``delay`` seconds from now; priority orders simultaneous ones."""
        event = Event(self._env)
        event._ok, event._value = True, task  # noqa: SLF001 - what simpy.Timeout does, with a priority
        event.callbacks.append(self._hold)
        self._env.schedule(event, priority, delay)

    def _hold(self, event: Event) -> None:
        self.waiting = event.value

    def _work(self, queue: simpy.Store) -> Generator[Event, Any, None]:
        """Be a machine: serve one queue, first come first served, one task at a time."""
        while True:
            task, service = yield queue.get()
            if task is not None:
                task.status, task.start = Status.RUNNING, self._env.now
            yield self._env.timeout(service)
            if task is not None:
                task.status, task.finish = Status.DONE, self._env.now


def _replayed(fleet: Fleet, episode: Episode, rules: Rules, choices: list[int], over: bool) -> SimulatedCloud:
    """Return a cloud in which these choices were made; ``over``: and nothing happens any more."""
    cloud = SimulatedCloud(fleet, episode, rules)
    for node in choices:
        cloud.place(node)
    if over:
        cloud.finish()
    return cloud
