"""The environment with the names, spaces and rewards of qgym's Scheduling."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from qexp.gates.engine import Dispatch
from qexp.gates.gate import Circuit
from qexp.gates.generators import BasicCircuitGenerator, CircuitGenerator
from qexp.gates.machine import MachineProperties, positive_integer
from qexp.gates.qgym.rewarders import BasicRewarder, Rewarder, Step, StepRewarder
from qexp.gates.qgym.state import SchedulingState
from qexp.gates.rulebook import CommutationRulebook
from qexp.gates.schedule import forward_starts

RENDER_MODES = ["human", "rgb_array"]
WINDOW = (1500, 800)
T = TypeVar("T")


class Scheduling(gym.Env[dict[str, npt.NDArray[Any]], Any]):
    """Schedule the gates of a circuit on a machine, from the last gate to the first.

    Time runs backwards: cycle 0 is the last cycle of the schedule. A gate may be placed in the current cycle
    when all later gates that it does not commute with are placed, its qubits are free and the machine does
    not keep it out. For learning, `GateSchedulingEnv` shows more of the state and takes one number as action.

    Observation: a dictionary of flat arrays, padded with zeros to ``max_gates``
        ================  ==============================  =======  =======================================
        key               shape                           dtype    content
        ================  ==============================  =======  =======================================
        gate_names        (max_gates,)                    int64    code of each gate, from 1; 0: padding
        acts_on           (2 max_gates,)                  int64    first qubits, then second qubits
        dependencies      (dependency_depth max_gates,)   int64    how much later in the circuit the nearest
                                                                   gates are that each gate waits for; 0:
                                                                   none; the nearest of all gates first
        legal_actions     (max_gates,)                    int8     1 where a gate may be placed now
        ================  ==============================  =======  =======================================

    Action: ``MultiDiscrete([max_gates, 2])``
        ``(gate, 0)`` places a gate in the current cycle, which changes nothing if that is not legal.
        ``(anything, 1)`` lets a cycle pass.

    Reward
        By the rewarder; `BasicRewarder` by default.

    End
        ``terminated`` when every gate is placed; ``truncated`` after ``max_steps``, if they are limited.

    Info
        ``Steps done``, ``Cycle``, and ``Schedule``: backward start cycle of each gate of the circuit, -1
        while it is not placed.

    Args:
        machine_properties: The machine, as `MachineProperties`, as a mapping, or the name of a file. It is
            copied.
        max_gates: Longest circuit.
        dependency_depth: How many of the gates that a gate waits for are shown.
        circuit_generator: Where circuits come from, copied; by default `BasicCircuitGenerator`.
        rulebook: Which gates commute, copied; by default those without a common qubit and equal ones.
        rewarder: What a step is worth, copied.
        render_mode: ``human`` (a window, needs pygame), ``rgb_array`` or None.
        max_steps: Steps after which an episode is cut off; by default there is no limit.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": 10}  # noqa: RUF012 - Gymnasium's API

    def __init__(
        self,
        machine_properties: MachineProperties | Mapping[str, Any] | str,
        *,
        max_gates: int = 200,
        dependency_depth: int = 1,
        circuit_generator: CircuitGenerator | None = None,
        rulebook: CommutationRulebook | None = None,
        rewarder: Rewarder | None = None,
        render_mode: str | None = None,
        max_steps: int | None = None,
    ) -> None:
        machine = self._parse_machine_properties(machine_properties)
        longest = positive_integer(max_gates, "max_gates")
        depth = positive_integer(dependency_depth, "dependency_depth")
        rules = _copied(rulebook, CommutationRulebook, "rulebook", CommutationRulebook)
        default = partial(BasicCircuitGenerator, self.np_random)
        generator = _copied(circuit_generator, CircuitGenerator, "circuit_generator", default)
        if generator.finite:
            raise ValueError("'circuit_generator' should be an infinite iterator")
        self.max_steps = None if max_steps is None else positive_integer(max_steps, "max_steps")
        self.render_mode = _parse_render_mode(render_mode)
        self._window: Any = None
        self.rewarder = _copied(rewarder, Rewarder, "rewarder", BasicRewarder)
        generator.set_state_attributes(
            machine_properties=machine, max_gates=longest, dependency_depth=depth, rulebook=rules
        )
        self._state = SchedulingState(
            machine_properties=machine,
            max_gates=longest,
            dependency_depth=depth,
            circuit_generator=generator,
            rulebook=rules,
        )
        self._state.rng = self.np_random
        self.observation_space = self._state.create_observation_space()
        self.action_space: gym.Space[Any] = gym.spaces.MultiDiscrete([longest, 2])

    @property
    def rewarder(self) -> Rewarder:
        """The rewarder of steps; it may be replaced at any time."""
        return self._rewarder

    @rewarder.setter
    def rewarder(self, rewarder: Rewarder) -> None:
        self._rewarder = rewarder
        self.reward_range = rewarder.reward_range
        # A rewarder that compares states must be shown the old one; only then is it copied before each step.
        self._of_step = rewarder.of if isinstance(rewarder, StepRewarder) and rewarder.unchanged else None

    @property
    def dispatch(self) -> Dispatch:
        """The episode without the environment: its problem, and the schedule so far."""
        return self._state.dispatch

    @property
    def rng(self) -> np.random.Generator:
        """Generator of random numbers, shared with the default circuit generator."""
        return self.np_random

    @rng.setter
    def rng(self, rng: np.random.Generator) -> None:
        self.np_random = rng
        self._state.reseed(rng, None)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Begin a new episode.

        Args:
            seed: Reproduces the circuits from here on.
            options: ``{"circuit": ...}`` schedules that circuit instead of the generator's next one: a list
                of `Gate`, or a Qiskit ``QuantumCircuit`` of the machine's gates.

        Raises:
            InputError: The machine cannot run the circuit, or it is too long.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._state.reseed(self.np_random, seed)
        self._state.reset(circuit=(options or {}).get("circuit"))
        if self.render_mode == "human":
            self.render()
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[dict[str, npt.NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Place a gate, or let a cycle pass; an InputError if the action is out of range."""
        state = self._state
        pair = self._pair(action)
        if self._of_step is not None:
            left = state.dispatch.left
            state.update_state(pair)
            waited = bool(pair[1])
            illegal = not waited and state.dispatch.left == left
            reward = self._of_step(Step(waited, illegal, left == 0), state)
        else:
            old_state = state.copy()
            state.update_state(pair)
            reward = self._rewarder.compute_reward(old_state=old_state, action=pair, new_state=state)
        terminated = state.dispatch.left == 0
        truncated = self.max_steps is not None and state.steps_done >= self.max_steps and not terminated
        if self.render_mode == "human":
            self.render()
        return self._observe(), reward, terminated, truncated, self._info()

    def get_circuit(self, mode: str = "human") -> Circuit:
        """Return a copy of the circuit, with names (``human``) or with codes (``encoded``)."""
        if not isinstance(mode, str):
            raise TypeError(f"'mode' should be a string, but was of type {type(mode)}")
        info = self._state.circuit_info
        if mode.lower() == "human":
            return list(info.human)
        if mode.lower() == "encoded":
            return info.encoded
        raise ValueError(f"'mode' should be 'human' or 'encoded', but was {mode!r}")

    def forward_schedule(self) -> list[int]:
        """Return the forward start cycle of each gate; a ValueError while one is not placed."""
        return forward_starts(self.dispatch.problem, self.dispatch.starts)

    def render(self) -> npt.NDArray[np.uint8] | None:  # type: ignore[override]
        """Draw the schedule so far: a picture of shape ``(800, 1500, 3)``, or a window in mode ``human``."""
        if self.render_mode is None:
            return None
        from qexp.gates.plots.picture import pixels

        dispatch = self.dispatch
        picture = pixels(dispatch.problem, dispatch.starts, WINDOW, now=dispatch.cycle)
        if self.render_mode == "rgb_array":
            return picture
        if self._window is None:
            self._window = Window(WINDOW, "Gate scheduling")
        self._window.show(picture)
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _pair(self, action: Any) -> Any:
        return action

    def _observe(self) -> dict[str, npt.NDArray[Any]]:
        return self._state.obtain_observation()

    def _info(self) -> dict[str, Any]:
        return self._state.obtain_info()

    @staticmethod
    def _parse_machine_properties(machine_properties: Any) -> MachineProperties:
        if isinstance(machine_properties, MachineProperties):
            return copy.deepcopy(machine_properties)
        if isinstance(machine_properties, str | Path):
            return MachineProperties.from_file(machine_properties)
        if isinstance(machine_properties, Mapping):
            return MachineProperties.from_mapping(machine_properties)
        raise TypeError(f"{type(machine_properties)} is not a supported type for 'machine_properties'")


def _copied(value: Any, expected: type[T], name: str, default: Callable[[], T]) -> T:
    if value is None:
        return default()
    if not isinstance(value, expected):
        raise TypeError(f"'{name}' should be a {expected.__name__}, but was of type {type(value)}")
    return copy.deepcopy(value)


def _parse_render_mode(render_mode: object) -> str | None:
    if render_mode is None:
        return None
    if not isinstance(render_mode, str):
        raise TypeError(f"'render_mode' should be a string, but was of type {type(render_mode)}")
    if render_mode.lower() not in RENDER_MODES:
        raise ValueError(f"'render_mode' should be one of {', '.join(RENDER_MODES)}, but was {render_mode!r}")
    return render_mode.lower()


class Window:
    """A pygame window of a size (width, height), pixels; without pygame a ``DependencyNotInstalled``."""

    def __init__(self, size: tuple[int, int], title: str) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError as error:
            message = 'render_mode="human" needs pygame: pip install "qexp[human]"'
            raise gym.error.DependencyNotInstalled(message) from error
        self._pygame: Any = pygame
        pygame.display.init()
        self._surface = pygame.display.set_mode(size)
        pygame.display.set_caption(title)

    def show(self, picture: npt.NDArray[np.uint8]) -> None:
        """Show a picture, ``[height, width, 3]``."""
        pygame = self._pygame
        height, width, _ = picture.shape
        image = pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB")
        self._surface.blit(image, (0, 0))
        pygame.event.pump()
        pygame.display.flip()

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
