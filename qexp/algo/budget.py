"""When training ends, and how far along it is: one place that turns both limits into schedules."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.errors import InputError


@dataclass(frozen=True)
class Budget:
    """The limits of a training run, None for no limit; it stops at whichever comes first."""

    env_steps: int | None  # decisions to learn from
    seconds: float | None  # wall-clock time after start-up

    def __post_init__(self) -> None:
        if self.env_steps is None and self.seconds is None:
            raise InputError("algo.env_steps: training needs a limit, but it and algo.seconds are both null")

    def progress(self, env_steps: int, seconds: float) -> float:
        """Return how much of the run is over, 0 to 1, by the limit that is nearer.

        A run that counts steps must give the same schedules on a slow and on a fast machine, so its clock
        is ignored until a tenth of the time is gone: a time limit that does not bind changes nothing.

        Args:
            env_steps: Steps taken so far.
            seconds: Wall-clock time taken so far.
        """
        by_steps = 0.0 if self.env_steps is None else env_steps / self.env_steps
        by_clock = 0.0 if self.seconds is None else seconds / self.seconds
        if self.env_steps is not None and by_clock < 0.1:
            by_clock = 0.0
        return min(1.0, max(by_steps, by_clock))

    def spent(self, env_steps: int, seconds: float) -> bool:
        """Return whether a limit is reached.

        Args:
            env_steps: Steps taken so far.
            seconds: Wall-clock time taken so far.
        """
        return (self.env_steps is not None and env_steps >= self.env_steps) or (
            self.seconds is not None and seconds >= self.seconds
        )


def linear(start: float, end: float, progress: float) -> float:
    """Return the value of a linear schedule at ``progress``, 0 to 1.

    Args:
        start: Value at 0.
        end: Value from 1 on.
        progress: How much of the training is over.
    """
    return start + (end - start) * min(1.0, progress)
