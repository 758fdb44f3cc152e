"""The placement environment for one episode at a time, on the SimPy reference engine."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from qexp.errors import InputError
from qexp.fleet.fleet import Fleet, load_fleet
from qexp.placement.engine import SimulatedCloud
from qexp.placement.episode import Episode
from qexp.placement.observation import Observation, observation_space, observe
from qexp.placement.reward.reward import Outcome
from qexp.placement.scenario import Scenario
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.problem.arguments import checked, scenario_of
from qexp.problem.arrays import Bools
from qexp.problem.checks import checked_action

DEFAULT_FLEET = "qce5"
SHIPPED = sorted(
    file.name.removesuffix(".yaml") for file in (resources.files("qexp.fleet") / "data").iterdir()
)


class PlacementEnv(gym.Env[Observation, np.int64]):
    """Place each arriving quantum task on one machine of a fleet.

    ``gymnasium.make("qexp/Placement-v0")`` gives the default scenario (five machines, 25 tasks of 2 to 27
    qubits within a minute). Every argument of `Scenario` changes it, in ``gymnasium.make_vec`` too:
    ``gymnasium.make("qexp/Placement-v0", fleet="ibm13", tasks=50, mask=False, reward=Weighted())``. The fleet
    is a name (``qce5``, ``ibm13``, ``heron``), a file or a `Fleet`; ``workload``, ``arrivals``,
    ``service_time`` and ``reward`` are objects, for example ``qexp.placement.reward.weighted.Weighted()``;
    defaults and bounds are those of ``env=placement``. ``scenario`` is a whole `Scenario`, which the others
    change.

    Observation (``observation="dict"``), at the decision for one task; see `qexp.placement.features`
        ==============  ============================  =======  ============================================
        key             shape                         dtype    content
        ==============  ============================  =======  ============================================
        task            (10,)                         float32  width, depth, tasks left, refusals, backlog;
                                                               log or linear scale, dimensionless
        nodes           (machines, 14)                float32  wait, service, finish relative to the best,
                                                               ESP, fit, speed, pending jobs, ... of each
        action_mask     (machines,)                   int8     1 where the task may be placed
        ==============  ============================  =======  ============================================

        ``observation="flat"`` is the papers' layout, float64 ``(4 + 3 machines,)``: arrival (s), width
        (qubits), depth (layers) and refusals, then qubits, CLOPS and next free time (s) of each machine.

    Action
        ``Discrete(machines)``: index of the machine in the fleet. One that the circuit does not fit refuses
        it: the task asks again ``rescheduling_delay`` seconds later. ``action_masks()`` gives the mask to
        libraries that ask for it by that name, such as sb3-contrib.

    Reward
        By ``scenario.reward``; the default ``completion`` sums to minus the total completion time over its
        scale.

    End
        ``terminated`` when every task is placed; ``truncated`` when one task was refused
        ``scenario.max_refusals`` times. The last step's ``info`` has ``total_completion_time`` (seconds)
        and ``reschedules``.

    ``copy.deepcopy`` and ``pickle`` work in mid-episode. A copy continues equally, random numbers included,
    and on its own. It replays the decisions so far: 0.2 ms after 25 of them, 4 ms after 1,000.

    Example:
        >>> import gymnasium, qexp.env
        >>> env = gymnasium.make("qexp/Placement-v0")
        >>> observation, info = env.reset(seed=1)
        >>> action = env.action_space.sample(mask=observation["action_mask"])
        >>> observation, reward, terminated, truncated, info = env.step(action)
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's API

    def __init__(self, scenario: Scenario | None = None, **settings: Any) -> None:
        """Create an environment, see above.

        Raises:
            InputError: There is no such argument, or it is of the wrong type or out of bounds.
        """
        self.scenario = placement_of(scenario, settings)
        self.observation_space = observation_space(self.scenario)
        self.action_space = gym.spaces.Discrete(len(self.scenario.fleet))
        self._cloud: SimulatedCloud | None = None
        self._total = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> PlacementEnv:
        """Return an independent, equal copy; the scenario, which never changes, is shared."""
        memo.update({id(shared): shared for shared in (self.scenario, self.spec)})
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        vars(twin).update(copy.deepcopy(vars(self), memo))
        return twin

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode in an empty cloud; without a seed the stream of episodes continues.

        Args:
            seed: Reproduces the episode bit for bit.
            options: ``{"episode": Episode}`` plays that episode instead of drawing one.
        """
        super().reset(seed=seed, options=options)
        episode = (options or {}).get("episode") or self._draw()
        self._cloud = SimulatedCloud(self.scenario.fleet, episode, self.scenario.rules)
        self._total = 0.0
        return self._observe(self._cloud), {}

    def action_masks(self) -> Bools:
        """Return the allowed machines, as MaskablePPO of sb3-contrib asks for them, ``[machines]``.

        Raises:
            ResetNeeded: No episode has begun.
        """
        if self._cloud is None:
            raise gym.error.ResetNeeded("call reset() before action_masks()")
        return np.array(self._cloud.task_state().mask, dtype=bool)

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Place the waiting task on machine ``action``.

        Raises:
            InputError: There is no such machine.
            ResetNeeded: No episode has begun.
        """
        if self._cloud is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        placed = self._cloud.place(checked_action(action, len(self.scenario.fleet)))
        outcome = Outcome.of(placed)
        self._total += placed.elapsed
        info: dict[str, Any] = {}
        if placed.placed_all or placed.gave_up:
            info["total_completion_time"] = self._total
            info["reschedules"] = sum(task.reschedules for task in self._cloud.tasks)
        reward = float(self.scenario.reward.of(outcome))
        return self._observe(self._cloud), reward, placed.placed_all, placed.gave_up, info

    def _observe(self, cloud: SimulatedCloud) -> Observation:
        return observe(self.scenario, cloud.task_state(), cloud.node_state())

    def _draw(self) -> Episode:
        batch = self.scenario.draw(self.np_random, 1)
        used = np.isfinite(batch.arrival[0])
        return self.scenario.assemble(batch.rows[0][used], batch.arrival[0][used])


def placement_of(scenario: Scenario | None, settings: Mapping[str, Any]) -> Scenario:
    """Return the scenario that some settings give.

    Args:
        scenario: The one that they change; by default the papers'.
        settings: Arguments of `Scenario`, by name; see `PlacementEnv`.

    Raises:
        InputError: There is no such setting, or it is of the wrong type or out of bounds.
    """
    if scenario is None:
        settings = {"fleet": DEFAULT_FLEET, **settings}
    return scenario_of(Scenario, scenario, settings, {"fleet": _fleet})


def make_placement_vector(num_envs: int = 1, scenario: Any = None, **settings: Any) -> PlacementVectorEnv:
    """Build the vectorised environment; entry point of ``gymnasium.make_vec``.

    Args:
        num_envs: Episodes at once.
        scenario: The placement problem; by default the papers'.
        **settings: Changes to it, see `PlacementEnv`.

    Raises:
        InputError: There is no such setting, or it is of the wrong type or out of bounds.
    """
    return PlacementVectorEnv(placement_of(scenario, settings), num_envs)


def _fleet(given: Any) -> Any:
    if not isinstance(given, str | Path):
        return checked(given, Fleet)
    try:
        return load_fleet(given, "fleet")
    except InputError as error:
        if Path(given).exists():
            raise
        raise InputError(f"{error}; fleets that ship with qexp: {', '.join(SHIPPED)}") from error
