"""Which random numbers the episodes of a vector environment are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import VectorEnv

from qexp.errors import InputError
from qexp.problem.arrays import Ints

Seed = int | Sequence[int | None] | None


class SeededVectorEnv(VectorEnv[Any, Any, Any]):
    """A vector environment with one stream of episodes for all, or one for each environment.

    ``reset(seed=s)`` draws all episodes from one stream, many at once. ``reset(seed=[s0, s1, ...])`` gives
    each environment a stream of its own: it plays what the single environment plays with that seed, in this
    episode and all that follow, whatever the other seeds are. ``None`` in the list lets a stream go on, and
    begins one where the environment has none of its own yet. Without a seed all streams go on.
    """

    _streams: list[np.random.Generator] | None = None  # of each environment; None while all share one

    def _seed(self, seed: Seed, options: dict[str, Any] | None) -> None:
        """Take over the seed of a reset.

        Raises:
            InputError: A list is not of one seed for each environment.
        """
        if seed is None or not isinstance(seed, Sequence | np.ndarray):
            super().reset(seed=seed, options=options)
            self._streams = self._streams if seed is None else None
            return
        if len(seed) != self.num_envs:
            raise InputError(f"seed: {len(seed)} seeds for {self.num_envs} environments: give one for each")
        if all(one is None for one in seed):
            return
        kept: Sequence[np.random.Generator | None] = self._streams or [None] * self.num_envs
        self._streams = [self._stream(one, before) for one, before in zip(seed, kept, strict=True)]

    def _stream(self, seed: Any, before: np.random.Generator | None) -> np.random.Generator:
        if seed is None:
            return before or np.random.default_rng(int(self.np_random.integers(2**63)))
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError(f"seed: {seed!r}: a seed is a whole number from 0 on, or None")
        return seeding.np_random(int(seed))[0]

    def _drawing(self, which: Ints) -> Iterator[tuple[np.random.Generator, Ints]]:
        """Yield generators, each with the environments among ``which`` whose episodes it draws."""
        if self._streams is None:
            yield self.np_random, which
        else:
            yield from ((self._streams[i], which[at : at + 1]) for at, i in enumerate(which))

    def _random_state(self) -> dict[str, Any]:
        """Return what the streams go on from, as JSON values."""
        state: dict[str, Any] = {"rng": self.np_random.bit_generator.state}
        if self._streams is not None:
            state["streams"] = [stream.bit_generator.state for stream in self._streams]
        return state

    def _set_random_state(self, state: Mapping[str, Any]) -> None:
        self.np_random = _generator(state["rng"])
        streams = state.get("streams")
        self._streams = None if streams is None else [_generator(each) for each in streams]


def _generator(state: Any) -> np.random.Generator:
    rng = np.random.default_rng(0)
    rng.bit_generator.state = state
    return rng
