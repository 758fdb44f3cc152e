"""The base of all vector environments: lockstep, seeds, and states to resume from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from qexp.errors import InputError
from qexp.problem.arrays import Bools, Ints
from qexp.problem.checks import checked_actions

Seed = int | Sequence[int | None] | None


class LockstepVectorEnv(VectorEnv[Any, Any, Any]):
    """``num_envs`` episodes, stepped by one call; an action is the index of a choice.

    Autoreset is Gymnasium's NEXT_STEP: the step after an episode's last one ignores its action, gives reward
    0 and the first observation of a new episode.

    ``reset(seed=s)`` draws all episodes from one stream, many at once. ``reset(seed=[s0, s1, ...])`` gives
    each environment a stream of its own: it plays what the single environment plays with that seed, in this
    episode and all that follow, whatever the other seeds are. ``None`` in the list continues a stream, and
    begins one where the environment has none of its own yet. Without a seed all streams continue.

    Args:
        observation: Space of one environment's observation.
        choices: How many there are.
        num_envs: Episodes at once.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 - Gymnasium's API
    state_of: ClassVar[tuple[str, ...]]  # attributes with the episodes under way: arrays, or with a state
    _streams: list[np.random.Generator] | None = None  # of each environment; None while all share one

    def __init__(self, observation: gym.Space[Any], choices: int, num_envs: int) -> None:
        self.num_envs = num_envs
        self.single_observation_space = observation
        self.single_action_space = gym.spaces.Discrete(choices)
        self.observation_space = batch_space(observation, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._choices = choices
        self.over: Bools = np.zeros(num_envs, dtype=bool)  # episodes that ended with the step before

    @abstractmethod
    def _draw_episodes(self, rng: np.random.Generator, which: Ints) -> None:
        """Begin new episodes in some environments."""

    @abstractmethod
    def _observe(self) -> Any:
        """Return the observations of all environments, in fresh arrays."""

    def reset(
        self, *, seed: Seed = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin new episodes in all environments, see `VectorEnv.reset`; the seed may be a list, see above.

        Raises:
            InputError: A list is not of one seed for each environment, or no episode can be drawn.
        """
        self._seed(seed, options)
        self._begin(np.arange(self.num_envs))
        return self._observe(), {}

    def _checked(self, actions: Any) -> Ints:
        """Return actions as integers, see `checked_actions`."""
        return checked_actions(actions, ~self.over, self._choices)

    def _begin(self, which: Ints) -> None:
        self.over[which] = False
        if self._streams is None:
            self._draw_episodes(self.np_random, which)
        else:
            for i in which:
                self._draw_episodes(self._streams[i], np.array([i]))

    def _infos(self, ended: Bools, **figures: Any) -> dict[str, Any]:
        """Return figures of the episodes that ended, as Gymnasium's vector environments report them."""
        masks = {f"_{name}": ended for name in figures}
        return {name: np.where(ended, values, 0) for name, values in figures.items()} | masks

    def get_state(self) -> dict[str, Any]:
        """Return what the episodes under way and the streams of new ones continue from."""
        state: dict[str, Any] = {"rng": self.np_random.bit_generator.state}
        if self._streams is not None:
            state["streams"] = [stream.bit_generator.state for stream in self._streams]
        for name in ("over", *self.state_of):
            part = getattr(self, name)
            state[name] = part.copy() if isinstance(part, np.ndarray) else part.get_state()
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `get_state` of an environment of the same problem and size returned.

        Raises:
            ValueError: The size differs.
        """
        for name in (*self.state_of, "over"):
            if isinstance(part := getattr(self, name), np.ndarray):
                setattr(self, name, state[name].copy())
            else:
                part.set_state(state[name])
        self.np_random = _generator(state["rng"])
        streams = state.get("streams")
        self._streams = None if streams is None else [_generator(each) for each in streams]
        self._observe()

    def _seed(self, seed: Seed, options: dict[str, Any] | None) -> None:
        if seed is None or not isinstance(seed, Sequence | np.ndarray):
            super().reset(seed=seed, options=options)
            self._streams = self._streams if seed is None else None
            return
        if len(seed) != self.num_envs:
            raise InputError(f"seed: {len(seed)} seeds for {self.num_envs} environments: give one for each")
        if any(one is not None for one in seed):
            before: Sequence[np.random.Generator | None] = self._streams or [None] * self.num_envs
            self._streams = [self._stream(one, own) for one, own in zip(seed, before, strict=True)]

    def _stream(self, seed: Any, before: np.random.Generator | None) -> np.random.Generator:
        if seed is None:
            return before or np.random.default_rng(int(self.np_random.integers(2**63)))
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError(f"seed: {seed!r}: a seed is a whole number from 0 on, or None")
        return seeding.np_random(int(seed))[0]


def _generator(state: Any) -> np.random.Generator:
    rng = np.random.default_rng(0)
    rng.bit_generator.state = state
    return rng
