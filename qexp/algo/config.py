"""The options of the group ``algo`` by the names that configs of earlier runs have for them."""

from qexp.algo.a2c import A2C
from qexp.algo.dqn import DQN
from qexp.algo.none import NoTraining
from qexp.algo.training import Training

__all__ = ["A2C", "DQN", "NoTraining", "Training"]
