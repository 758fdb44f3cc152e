"""The scorer network as RLlib modules: one holds a policy and a value, one holds action values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, QNetAPI, TargetNetworkAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from qexp.problem.network import Architecture, ScorerNetwork, noise

MASKED_LOGIT = -1e9  # finite, so that a probability of 0 times its logarithm is 0 and not undefined

QF_PREDS = "qf_preds"
QF_LOGITS = "qf_logits"
QF_NEXT_PREDS = "qf_next_preds"
QF_TARGET_NEXT_PREDS = "qf_target_next_preds"
QF_TARGET_NEXT_LOGITS = "qf_target_next_logits"
SUPPORT = "support"


class ScorerModule(TorchRLModule):
    """A scorer network that reads the observation's ``task``, ``nodes``, ``action_mask`` and ``present``.

    The last is there where fleets of different sizes are padded.

    Its weights sit under ``network.`` in the module's state: that part of a checkpoint is the policy.
    ``model_config["architecture"]`` holds fields of `Architecture`, ``model_config["sigma0"]`` the initial
    noise of its heads, None for no noise. How many features there are is left to the observations.
    """

    model_config: Any
    observation_space: Any

    def setup(self) -> None:
        """Build the network."""
        known = self.model_config["architecture"]
        if "node_features" not in known:
            spaces = self.observation_space
            features = {"task_features": spaces["task"].shape[-1], "node_features": spaces["nodes"].shape[-1]}
            known = {**features, **known}
        self.network = ScorerNetwork(Architecture(**known), self.model_config["sigma0"])


class ActorCriticModule(ScorerModule, ValueFunctionAPI):
    """Scores are logits of a categorical policy; forbidden nodes have probability zero."""

    def _policy(self, observation: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        mask = observation["action_mask"]
        scores, values = self.network(*network_input(observation))
        return scores.masked_fill(mask == 0, MASKED_LOGIT), values

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        logits, values = self._policy(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: logits, Columns.VF_PREDS: values}

    def _forward_inference(self, batch: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        with torch.inference_mode():
            logits, values = self._policy(batch[Columns.OBS])
        return {Columns.ACTIONS: logits.argmax(-1), Columns.VF_PREDS: values}

    def _forward_exploration(
        self,
        batch: dict[str, Any],
        *,
        generator: torch.Generator | None = None,
        with_logits: bool = False,
        **_: Any,
    ) -> dict[str, Tensor]:
        with torch.inference_mode():
            logits, values = self._policy(batch[Columns.OBS])
            # The largest logit plus Gumbel noise is a sample of the softmax, without normalising it.
            # The clamp keeps the noise finite, and so a forbidden node's logit below all others.
            noise = -torch.empty_like(logits).exponential_(generator=generator).clamp_(min=1e-30).log_()
            actions = (logits + noise).argmax(-1)
        outputs = {Columns.ACTIONS: actions, Columns.VF_PREDS: values}
        return {**outputs, Columns.ACTION_DIST_INPUTS: logits} if with_logits else outputs

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        """Return the value of each state, ``[batch]``, see `ValueFunctionAPI.compute_values`."""
        del embeddings  # nothing is worth keeping between the two passes
        values: Tensor = self._policy(batch[Columns.OBS])[1]
        return values


def network_input(observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return an observation as the arguments of `ScorerNetwork`."""
    mask, present = observation.get("action_mask"), observation.get("present")
    return observation["task"], observation["nodes"], mask, present


def _values(network: Any, observation: dict[str, Tensor]) -> dict[str, Tensor]:
    mask = observation["action_mask"]
    outputs, _ = network.outputs(*network_input(observation), with_value=False)
    return {QF_PREDS: network.expected(outputs).masked_fill(mask == 0, -torch.inf), QF_LOGITS: outputs}


class QModule(ScorerModule, QNetAPI, TargetNetworkAPI, InferenceOnlyAPI):
    """Scores are action values; a forbidden node's value is minus infinity, also in bootstrap targets.

    With atoms, only the expected values are masked: an atom's logits say nothing about other nodes. A noisy
    network draws new noise for every pass in training and exploration.
    """

    values_next = True  # the online network values the next states in training, for double Q-learning

    def _forward_inference(self, batch: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        with torch.inference_mode():
            values = self.compute_q_values(batch)[QF_PREDS]
        return {Columns.ACTIONS: values.argmax(-1)}

    def _forward_exploration(
        self,
        batch: dict[str, Any],
        *,
        generator: torch.Generator | None = None,
        epsilon: float = 0.0,
        **_: Any,
    ) -> dict[str, Tensor]:
        """Choose the best node, or with probability ``epsilon`` any allowed one."""
        with torch.inference_mode(), noise(self.network, generator):
            values = self.compute_q_values(batch)[QF_PREDS]
            lottery = torch.rand(values.shape, generator=generator)
            lottery = lottery.masked_fill(batch[Columns.OBS]["action_mask"] == 0, -1.0)
            explores = torch.rand(len(values), generator=generator) < epsilon
            actions = torch.where(explores, lottery.argmax(-1), values.argmax(-1))
        return {Columns.ACTIONS: actions}

    def _forward_train(self, batch: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        """Value of the states with gradients, and of the next states, online and target, without.

        With atoms, the states have logits instead of values, and the target network's logits come along.
        """
        with torch.no_grad():
            following = batch[Columns.NEXT_OBS]
            online_next = {}
            if self.values_next:
                with noise(self.network):
                    online_next = {QF_NEXT_PREDS: _values(self.network, following)[QF_PREDS]}
            with noise(self.target_network):
                target_next = _values(self.target_network, following)
        with noise(self.network):
            outputs = self.network.outputs(*network_input(batch[Columns.OBS]), with_value=False)[0]
        passed: dict[str, Tensor] = {**online_next, QF_TARGET_NEXT_PREDS: target_next[QF_PREDS]}
        if self.network.architecture.atoms == 0:
            return {QF_PREDS: outputs[..., 0], **passed}
        passed |= {QF_TARGET_NEXT_LOGITS: target_next[QF_LOGITS], SUPPORT: self.network.support}
        return {QF_LOGITS: outputs, **passed}

    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the value of every node, ``[batch, nodes]``, and its distribution's logits."""
        return _values(self.network, batch[Columns.OBS])

    def make_target_networks(self) -> None:
        """Create the copy that bootstrap targets are computed with."""
        self.target_network = make_target_network(self.network)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        """Return the network and its copy, for the learner to keep in step."""
        return [(self.network, self.target_network)]

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the copy's value of every node, ``[batch, nodes]``."""
        return _values(self.target_network, batch[Columns.OBS])

    def get_non_inference_attributes(self) -> list[str]:
        """Return what environment runners do not need."""
        return ["target_network"]
