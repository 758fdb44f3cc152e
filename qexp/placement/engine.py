"""The event-driven engine on SimPy: the reference for what happens to a task.

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
from qexp.placement.episode import Episode
from qexp.placement.fcfs import served
from qexp.placement.state import NodeState, TaskState

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
    """One task and its log; times in seconds, NaN until they are known.

    Attributes:
        index: Position in the episode.
        status: QUEUED from arrival until it runs; FAILED if it was refused ``max_refusals`` times.
        node: Index of the node it was placed on, -1 before.
        placement: When it was placed.
        start: When the node began to work on it.
        finish: When the node ended.
        delay: Rescheduling delays, summed.
        reschedules: How often it was refused.
    """

    index: int
    status: Status = Status.QUEUED
    node: int = -1
    placement: float = np.nan
    start: float = np.nan
    finish: float = np.nan
    delay: float = 0.0
    reschedules: int = 0

    @property
    def wait(self) -> float:
        """Seconds between placement and start."""
        return self.start - self.placement


@dataclass(slots=True)
class Placement:
    """What a decision led to, as `qexp.placement.batched.Placements` but for one."""

    refused: bool
    wait: float
    service: float
    delay: float
    esp: float
    placed_all: bool
    gave_up: bool


@dataclass(slots=True)
class _Node:
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
        mask: Whether schedulers may only choose nodes that a circuit fits on.
        rescheduling_delay: Seconds after which a refused task asks again.
        max_refusals: A task refused this often fails.
        initial_backlog: Seconds of work queued on every node at time 0.

    Attributes:
        tasks: All tasks with their logs.
        waiting: The task that needs a decision, or None when the episode is over.
    """

    def __init__(
        self,
        fleet: Fleet,
        episode: Episode,
        *,
        mask: bool = True,
        rescheduling_delay: float = 1.0,
        max_refusals: int = 1000,
        initial_backlog: float = 0.0,
    ) -> None:
        self._env = simpy.Environment()
        self._fleet, self._episode = fleet, episode
        self._rules = {
            "mask": mask,
            "rescheduling_delay": rescheduling_delay,
            "max_refusals": max_refusals,
            "initial_backlog": initial_backlog,
        }
        self._choices_made: list[int] = []
        self._fits = np.isfinite(episode.service)
        self._choices = self._fits if mask else np.ones_like(self._fits)
        self._delay, self._max_refusals = rescheduling_delay, max_refusals
        self._refusals = 0
        self._left = len(episode)
        self._nodes = [_Node(simpy.Store(self._env)) for _ in fleet.nodes]
        for node in self._nodes:
            self._env.process(self._work(node.queue))
            if initial_backlog > 0:
                node.free_at = initial_backlog
                node.queue.put((None, initial_backlog))
        self.tasks = [QTask(index) for index in range(len(episode))]
        self.waiting: QTask | None = None
        for task, arrival in zip(self.tasks, episode.arrival.tolist(), strict=True):
            self._ask_after(arrival, task, ARRIVE)
        self._advance()

    def __reduce__(self) -> tuple[Any, ...]:
        """Let copies and pickles be led here again: SimPy's processes cannot be copied."""
        over = self._env.peek() == float("inf")
        return _led_again, (self._fleet, self._episode, self._rules, self._choices_made, over)

    def __deepcopy__(self, memo: dict[int, Any]) -> SimulatedCloud:
        """Return an independent cloud; fleet and episode, which never change, are shared."""
        again, arguments = self.__reduce__()
        copy: SimulatedCloud = again(*arguments)
        return copy

    @property
    def now(self) -> float:
        """Simulated time, seconds."""
        return float(self._env.now)

    def place(self, node: int) -> Placement:
        """Put the waiting task on a node, or have it refused, and go on to the next decision.

        Args:
            node: Index into the fleet.
        """
        if self.waiting is None:
            raise RuntimeError("no task waits for a decision: the episode is over")
        self._choices_made.append(node)
        task, self.waiting = self.waiting, None
        i, now = task.index, self._env.now
        wait = service = esp = 0.0
        refused = not self._fits[i][node]
        gave_up = False
        if refused:
            task.reschedules += 1
            task.delay = task.reschedules * self._delay
            self._refusals += 1
            gave_up = task.reschedules >= self._max_refusals
            if gave_up:
                task.status = Status.FAILED
            else:
                self._ask_after(self._delay, task, RETURN)
        else:
            chosen = self._nodes[node]
            service, esp = float(self._episode.service[i, node]), float(self._episode.esp[i, node])
            start, chosen.free_at = map(float, served(now, service, chosen.free_at))
            wait = start - now
            chosen.ends.append(chosen.free_at)
            chosen.queue.put((task, service))
            task.node, task.placement = node, now
            self._refusals = 0
            self._left -= 1
        outcome = Placement(refused, wait, service, task.delay, esp, self._left == 0, gave_up)
        self._advance()
        return outcome

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
            mask=self._choices[i],
        )

    def node_state(self) -> NodeState:
        """Return the state of the nodes now."""
        return NodeState(
            qubits=self._fleet.qubits,
            clops=self._fleet.clops,
            readout_error=self._fleet.readout_error,
            free_at=np.array([node.free_at for node in self._nodes]),
            pending=np.array([node.pending(self._env.now) for node in self._nodes]),
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


def _led_again(
    fleet: Fleet, episode: Episode, rules: dict[str, Any], choices: list[int], over: bool
) -> SimulatedCloud:
    """Return a cloud in which these choices were made; ``over``: and nothing happens any more."""
    cloud = SimulatedCloud(fleet, episode, **rules)
    for node in choices:
        cloud.place(node)
    if over:
        cloud.finish()
    return cloud
