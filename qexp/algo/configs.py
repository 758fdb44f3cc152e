"""The algorithms' settings in RLlib's form, for those who call ``train()`` or Ray Tune themselves."""

from __future__ import annotations

from qexp.algo.a2c import A2C
from qexp.algo.actor_critic import ActorCriticConfig
from qexp.algo.on_policy import OnPolicy
from qexp.algo.ppo import PPO
from qexp.algo.q_learning import DQNConfig

__all__ = ["A2CConfig", "DQNConfig", "PPOConfig"]


class A2CConfig(ActorCriticConfig):
    """RLlib's settings of `qexp.algo.a2c.A2C`."""

    def __init__(self, algo_class: type | None = None, option: OnPolicy | None = None) -> None:
        super().__init__(algo_class, option or A2C())


class PPOConfig(ActorCriticConfig):
    """RLlib's settings of `qexp.algo.ppo.PPO`."""

    def __init__(self, algo_class: type | None = None, option: OnPolicy | None = None) -> None:
        super().__init__(algo_class, option or PPO())
