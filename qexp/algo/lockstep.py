"""Steps hundreds of episodes at once and hands the learner whole arrays instead of episode objects.

RLlib's own environment runner spends most of a training run on connector pipelines and per-step episode
records. This one keeps RLlib's contract (weights, metrics, state, remote or local) and replaces only the
inside of `sample`: one forward pass per tick for all environments, results written into columns.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import ray
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_AGENT_ID, DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils import metrics as keys
from ray.rllib.utils.checkpoints import Checkpointable
from ray.tune.registry import ENV_CREATOR, _global_registry

from qexp.problem.arrays import Bools, Floats, Ints

Array = NDArray[Any]


@dataclass(frozen=True)
class Rollout:
    """Steps of a vector environment: arrays ``[ticks, envs]``, mappings of arrays ``[ticks + 1, envs, ...]``.

    An observation space that is no Dict has the one key ``obs``.
    """

    observations: dict[str, Array]  # before each tick and, last, after the final one
    actions: Ints
    rewards: Floats
    terminated: Bools  # the action ended the episode
    truncated: Bools  # the episode was cut off after the action
    acted: Bools  # false on the ticks that an environment spent on its reset
    outputs: dict[str, Array]  # further outputs of the module; zero where nobody needed them
    fresh: bool = False  # all environments began with new episodes: those before stay unfinished


class LockstepEnvRunner(EnvRunner, Checkpointable):
    """RLlib environment runner for one vector environment that steps all its episodes in NumPy.

    The environment is the registered creator, or the callable, that ``config.environment()`` names; it gets
    RLlib's ``EnvContext`` with the key ``num_envs``. It must reset on the step after an episode's end
    (``AutoresetMode.NEXT_STEP``).
    """

    config: Any
    env: Any

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        if self.config.seed is not None:
            # Vector environments seed their i-th episode with seed + i: runners must not be 1 apart.
            entropy = [self.config.seed, self.worker_index or 0, int(self.config.in_evaluation)]
            if _started_over():  # after the loss of its node: not with the episodes it began the run with
                entropy.append(secrets.randbits(32))
            self._seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        self.spaces: dict[str, tuple[gym.Space[Any], gym.Space[Any]]] = kwargs.get("spaces") or {}
        self.num_envs = 0
        self.module: Any = None
        self._weights_seq_no = 0
        self.has_weights = False
        self._generator = torch.Generator()
        if self._seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(self._seed)
        self._episodes = _Episodes(0)
        self._steps_since_metrics = 0
        index, remote = self.worker_index or 0, self.config.num_env_runners > 0
        if index > 0 or (index == 0 and (not remote or self.config.create_env_on_local_worker)):
            self.make_env()
        self.make_module()

    def make_env(self) -> None:
        """Create the vector environment; a ValueError if it does not reset on the next step."""
        if self.env is not None:
            self.env.close()
        creator = self.config.env
        if isinstance(creator, str):
            creator = _global_registry.get(ENV_CREATOR, creator)
        context = EnvContext(
            {**self.config.env_config, "num_envs": self.config.num_envs_per_env_runner},
            worker_index=self.worker_index or 0,
            num_workers=self.num_workers,
        )
        env: VectorEnv[Any, Any, Any] = creator(context)
        if env.metadata.get("autoreset_mode") != AutoresetMode.NEXT_STEP:
            raise ValueError(f"{env} must reset on the next step (AutoresetMode.NEXT_STEP)")
        self.env = env
        self.num_envs = env.num_envs
        self._observation: dict[str, Array] | None = None

    def make_module(self) -> None:
        """Create the module that chooses the actions."""
        spec = self.config.get_rl_module_spec(env=self.env, spaces=self.get_spaces(), inference_only=True)
        self.module = spec.build()
        self.module.eval()

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
        **exploration: Any,
    ) -> Rollout:
        """Step the environments.

        Args:
            num_timesteps: Steps over all environments, rounded up to whole ticks; by default
                ``config.rollout_fragment_length`` ticks.
            explore: Whether the module explores; by default what the config says.
            random_actions: Whether to draw actions from the action space instead of asking the module.
            force_reset: Whether to start new episodes first.
            exploration: Passed to the module's ``forward_exploration``.
        """
        if num_timesteps is None:
            ticks = int(self.config.get_rollout_fragment_length(self.worker_index or 0))
        else:
            ticks = math.ceil(num_timesteps / self.num_envs)
        explore = self.config.explore if explore is None else explore
        fresh = self._observation is None or force_reset
        if fresh:
            self._reset()
        rollout = self._empty_rollout(ticks, fresh)
        for tick in range(ticks):
            cut = self._truncated.any()
            if random_actions:
                rollout.actions[tick] = self.env.action_space.sample()
            elif cut or not self._resetting.all():
                self._decide(rollout, tick, explore, exploration)
            self._step(rollout, tick)
        if rollout.outputs and (rollout.acted[-1] & ~rollout.terminated[-1]).any():
            # Nobody acts on this one: draw no random numbers for it.
            self._decide(rollout, ticks, explore=False, exploration={})
        steps = int(rollout.acted.sum())
        self.num_env_steps_sampled_lifetime += steps
        self._steps_since_metrics += steps
        return rollout

    def _reset(self) -> None:
        # Seeded once: later resets continue the stream, or every forced reset would repeat the episodes.
        observation, _ = self.env.reset(seed=self._seed if self._observation is None else None)
        self._observation = _columns(observation)
        self._resetting = np.zeros(self.num_envs, dtype=np.bool_)
        self._truncated = np.zeros(self.num_envs, dtype=np.bool_)
        self._episodes = _Episodes(self.num_envs)

    def _empty_rollout(self, ticks: int, fresh: bool) -> Rollout:
        assert self._observation is not None
        observations = {}
        for key, value in self._observation.items():
            observations[key] = np.empty((ticks + 1, *value.shape), dtype=value.dtype)
            observations[key][0] = value
        shape = (ticks, self.num_envs)
        actions, rewards = np.zeros(shape, dtype=np.int64), np.empty(shape)
        terminated, truncated, acted = (np.empty(shape, dtype=np.bool_) for _ in range(3))
        return Rollout(observations, actions, rewards, terminated, truncated, acted, {}, fresh)

    def _decide(self, rollout: Rollout, tick: int, explore: bool, exploration: dict[str, Any]) -> None:
        seen = {key: torch.from_numpy(value[tick]) for key, value in rollout.observations.items()}
        batch = {Columns.OBS: seen}
        # RLlib's public methods would set the evaluation mode again at every tick, on every layer.
        if explore:
            outputs = self.module._forward_exploration(batch, generator=self._generator, **exploration)  # noqa: SLF001
        else:
            outputs = self.module._forward_inference(batch)  # noqa: SLF001
        for key, tensor in outputs.items():
            if key == Columns.ACTIONS:
                if tick < len(rollout.actions):
                    rollout.actions[tick] = tensor.numpy()
                continue
            value = tensor.numpy()
            if key not in rollout.outputs:
                rollout.outputs[key] = np.zeros((len(rollout.actions) + 1, *value.shape), dtype=value.dtype)
            rollout.outputs[key][tick] = value

    def _step(self, rollout: Rollout, tick: int) -> None:
        observation, rewards, terminated, truncated, infos = self.env.step(rollout.actions[tick])
        acted = ~self._resetting
        rollout.acted[tick] = acted
        rollout.rewards[tick] = rewards
        rollout.terminated[tick] = terminated
        rollout.truncated[tick] = truncated
        self._observation = _columns(observation)
        for key, value in self._observation.items():
            rollout.observations[key][tick + 1] = value
        self._truncated = rollout.truncated[tick] & ~rollout.terminated[tick]
        self._resetting = rollout.terminated[tick] | rollout.truncated[tick]
        self._episodes.add(rollout.rewards[tick], acted, self._resetting, infos)

    def get_spaces(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        """Return observation and action spaces by RLlib's names for them."""
        if self.env is None:
            return self.spaces
        single = (self.env.single_observation_space, self.env.single_action_space)
        return {
            INPUT_ENV_SPACES: (self.env.observation_space, self.env.action_space),
            INPUT_ENV_SINGLE_SPACES: single,
            DEFAULT_MODULE_ID: single,
        }

    def get_metrics(self) -> Any:
        """Return the metrics of the steps and episodes since the last call, under RLlib's names."""
        steps, self._steps_since_metrics = self._steps_since_metrics, 0
        finished = self._episodes.take()
        for reduce, suffix in (("sum", ""), ("lifetime_sum", "_lifetime")):
            self.metrics.log_value(keys.NUM_ENV_STEPS_SAMPLED + suffix, steps, reduce=reduce)
            for key, part in (
                (keys.NUM_AGENT_STEPS_SAMPLED, DEFAULT_AGENT_ID),
                (keys.NUM_MODULE_STEPS_SAMPLED, DEFAULT_MODULE_ID),
            ):
                self.metrics.log_value((key + suffix, part), steps, reduce=reduce)
            self.metrics.log_value(keys.NUM_EPISODES + suffix, len(finished.get("len", ())), reduce=reduce)
        # One value per call and not per episode: its window counts calls.
        window = max(1, math.ceil(self.config.metrics_num_episodes_for_smoothing / max(1, self.num_envs)))
        for key, values in finished.items():
            self.metrics.log_value(f"episode_{key}_mean", float(np.mean(values)), window=window)
        return self.metrics.reduce()

    def get_state(
        self, components: Any = None, *, not_components: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return weights and step count; `open_episodes` has what is this runner's alone.

        See `Checkpointable.get_state`.
        """
        state: dict[str, Any] = {keys.NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime}
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(
                components=self._get_subcomponents(COMPONENT_RL_MODULE, components),
                not_components=self._get_subcomponents(COMPONENT_RL_MODULE, not_components),
                **kwargs,
            )
            state[keys.WEIGHTS_SEQ_NO] = self._weights_seq_no
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what a learner or a checkpoint sends: newer weights, and counts."""
        if COMPONENT_RL_MODULE in state:
            sequence = state.get(keys.WEIGHTS_SEQ_NO, 0)  # 0 or missing: take the weights in any case
            if sequence == 0 or self._weights_seq_no < sequence:
                weights = state[COMPONENT_RL_MODULE]
                if isinstance(weights, ray.ObjectRef):  # sent once for all remote runners
                    weights = ray.get(weights)
                self.module.set_state(weights.get(DEFAULT_MODULE_ID, weights))
                self.has_weights = True
            if sequence > 0:
                self._weights_seq_no = sequence
        if keys.NUM_ENV_STEPS_SAMPLED_LIFETIME in state:
            self.num_env_steps_sampled_lifetime = state[keys.NUM_ENV_STEPS_SAMPLED_LIFETIME]

    def open_episodes(self) -> dict[str, Any]:
        """Return what sampling continues from, as nested mappings of arrays and JSON values.

        That is exploration's random numbers and, where the environment has ``get_state()``, open episodes.
        """
        state: dict[str, Any] = {
            "steps": int(self.num_env_steps_sampled_lifetime),
            "generator": self._generator.get_state().numpy(),
        }
        if self._observation is not None and hasattr(self.env, "get_state"):
            state["env"] = self.env.get_state()
            state["observation"] = self._observation
            state["resetting"], state["truncated"] = self._resetting, self._truncated
            state["returns"], state["lengths"] = self._episodes.returns, self._episodes.lengths
        return state

    def reopen_episodes(self, state: Mapping[str, Any]) -> None:
        """Continue from what `open_episodes` of a runner of the same config returned."""
        self.num_env_steps_sampled_lifetime = state["steps"]
        self._generator.set_state(torch.from_numpy(state["generator"]))
        if "env" in state:
            self.env.set_state(state["env"])
            self._observation = dict(state["observation"])
            self._resetting, self._truncated = state["resetting"], state["truncated"]
            self._episodes = _Episodes(self.num_envs, state["returns"], state["lengths"])
        elif self._seed is not None:
            # New episodes, and not those that the run began with.
            entropy = [self._seed, state["steps"]]
            self._seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[()], dict[str, Any]]:
        """Return what RLlib needs to construct this runner again from a checkpoint."""
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """Return the parts that write their own folder into a checkpoint."""
        return [(COMPONENT_RL_MODULE, self.module)]

    def assert_healthy(self) -> None:
        """Raise an AssertionError unless environment and module are there."""
        assert self.env is not None
        assert self.module is not None

    def stop(self) -> None:
        """Close the environment."""
        if self.env is not None:
            self.env.close()


class _Episodes:
    """Running return and length of every environment's episode, and the values of the finished ones."""

    def __init__(self, num_envs: int, returns: Array | None = None, lengths: Array | None = None) -> None:
        self.returns = np.zeros(num_envs) if returns is None else returns
        self.lengths = np.zeros(num_envs, dtype=np.int64) if lengths is None else lengths
        self._finished: dict[str, list[Array]] = {}

    def add(self, rewards: Array, acted: Array, done: Array, infos: Mapping[str, Any]) -> None:
        self.returns += np.where(acted, rewards, 0.0)
        self.lengths += acted
        if not done.any():
            return
        self._finished.setdefault("return", []).append(self.returns[done])
        self._finished.setdefault("len", []).append(self.lengths[done])
        self.returns[done] = 0.0
        self.lengths[done] = 0
        # Gymnasium's vector environments report a value `key` and the mask `_key` of who reported it.
        for key, mask in infos.items():
            values = infos.get(key[1:]) if key.startswith("_") else None
            if isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.number):
                self._finished.setdefault(key[1:], []).append(values[mask & done])

    def take(self) -> dict[str, Array]:
        finished = {key: np.concatenate(parts) for key, parts in self._finished.items()}
        self._finished = {}
        return {key: values for key, values in finished.items() if len(values)}


def _started_over() -> bool:
    """Return whether this process is a Ray actor that replaces a lost one."""
    if not ray.is_initialized():
        return False
    context = ray.get_runtime_context()
    return context.get_actor_id() is not None and bool(context.was_current_actor_reconstructed)


def _columns(observation: Any) -> dict[str, Array]:
    return dict(observation) if isinstance(observation, Mapping) else {"obs": observation}
