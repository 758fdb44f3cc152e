"""stable-baselines3 on the same environment and network: a thin environment adapter and two policies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import CombinedExtractor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor

from qexp.placement.vector_env import PlacementVectorEnv
from qexp.problem.network import Architecture, ScorerNetwork

MASKED_LOGIT = -1e9  # finite, as a forbidden node's entropy would otherwise be undefined


class LockstepVecEnv(VecEnv):
    """A placement vector environment as stable-baselines3 wants it: the step that ends an episode resets it.

    All episodes of the default scenario end at the same time, as they have the same number of tasks and no
    masked action is ever refused; so one more step of the environment resets them all.
    """

    def __init__(self, env: PlacementVectorEnv) -> None:
        self._env = env
        self._infos: list[dict[str, Any]] = [{} for _ in range(env.num_envs)]
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Start all episodes anew."""
        return self._env.reset(seed=0)[0]

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Step all episodes, and reset them if they are over."""
        observation, rewards, terminated, truncated, _ = self._env.step(self._actions)
        over = terminated | truncated
        if over.any():
            assert over.all(), "episodes are out of step: this adapter is for masked episodes of one length"
            observation = self._env.step(self._actions)[0]
        return observation, rewards.astype(np.float32), over, self._infos

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute, the same for all episodes."""
        return [getattr(self._env, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: nothing needs it."""
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Refuse: nothing needs it."""
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Return that no episode is wrapped."""
        return [False] * self.num_envs


class ActorCritic(ActorCriticPolicy):
    """The placement network with masked logits; ``network`` in ``policy_kwargs`` is its architecture."""

    def __init__(self, *args: Any, network: Architecture, **kwargs: Any) -> None:
        self._architecture = network
        super().__init__(*args, features_extractor_class=CombinedExtractor, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        self.network = ScorerNetwork(self._architecture)
        self.optimizer = self.optimizer_class(
            self.network.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs
        )

    def forward(self, obs: Any, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return actions, values and the actions' log probabilities."""
        distribution, values = self._evaluate(obs)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, values, distribution.log_prob(actions)

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values, log probabilities of actions, and entropies."""
        distribution, values = self._evaluate(obs)
        return values, distribution.log_prob(actions), distribution.entropy()

    def predict_values(self, obs: Any) -> Tensor:
        """Return values."""
        return self._evaluate(obs)[1]

    def _evaluate(self, obs: dict[str, Tensor]) -> tuple[Any, Tensor]:
        scores, values = self.network(obs["task"], obs["nodes"])
        logits = scores.masked_fill(obs["action_mask"] == 0, MASKED_LOGIT)
        return self.action_dist.proba_distribution(action_logits=logits), values


class PlacementQ(QNetwork):
    """The placement network as a Q network; forbidden nodes are worth minus infinity, so never chosen."""

    def __init__(self, *args: Any, network: Architecture, **kwargs: Any) -> None:
        super().__init__(*args, net_arch=[], **kwargs)
        self.q_net = ScorerNetwork(network)  # type: ignore[assignment]

    def forward(self, obs: Any) -> Tensor:
        """Return the value of every node."""
        mask = obs["action_mask"]
        scores: Tensor = self.q_net(obs["task"], obs["nodes"])[0]
        return scores.masked_fill(mask == 0, -torch.inf)


class QPolicy(DQNPolicy):
    """Makes `PlacementQ`, twice; ``network`` in ``policy_kwargs`` is its architecture."""

    def __init__(self, *args: Any, network: Architecture, **kwargs: Any) -> None:
        self._architecture = network
        super().__init__(*args, features_extractor_class=CombinedExtractor, **kwargs)

    def make_q_net(self) -> QNetwork:
        """Return a new Q network."""
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        del arguments["net_arch"]
        return PlacementQ(network=self._architecture, **arguments).to(self.device)


class Learning:
    """A stable-baselines3 model as a contender: each call learns for so many steps."""

    def __init__(self, model: Any, steps: int) -> None:
        self._model, self._steps = model, steps

    def __call__(self) -> int:
        """Learn; return the steps taken."""
        before = self._model.num_timesteps
        self._model.learn(self._steps, reset_num_timesteps=False)
        return int(self._model.num_timesteps - before)
