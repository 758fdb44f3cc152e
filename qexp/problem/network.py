"""The scorer network: one scorer shared by all choices (machines, gates), whatever their number and order.

Its heads may carry learned noise: Fortunato et al., "Noisy Networks for Exploration" (2018), factorised
Gaussian. Torch's ``train()`` and ``eval()`` do not switch the noise: RLlib calls ``eval()`` on modules that
explore. It is on inside `noise`, nowhere else, so that whatever forgets about it gets the mean weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qexp.problem.forward import SPREAD, support_and_tilt


@dataclass(frozen=True)
class Architecture:
    """Shape of a scorer network.

    Each score starts at minus ``prior`` times the node feature that the prior reads, so an untrained network
    prefers what a heuristic would choose; 0 switches that off. With ``dueling``, scores are the value plus
    advantages centred over the allowed nodes (Wang et al., "Dueling Network Architectures for Deep
    Reinforcement Learning", 2016). With ``atoms``, the network outputs a distribution of returns over so many
    points for every node (Bellemare et al., "A Distributional Perspective on Reinforcement Learning", 2017),
    evenly from ``value_min`` to ``value_max``; a score is its expected value.
    """

    task_features: int  # length of the task's feature vector
    node_features: int  # length of each node's
    prior_feature: int = 0  # index of the node feature that the prior reads
    hidden: int = 64  # width of every hidden layer
    prior: float = 4.0
    dueling: bool = False
    atoms: int = 0
    value_min: float = 0.0
    value_max: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a plain mapping, as stored in bundles and checkpoints."""
        return asdict(self)


class NoisyLinear(nn.Linear):
    """A linear layer with weights ``mean + spread * noise``; the means are named as those of `nn.Linear`.

    The noise of a weight is the product of one number per input and one per output. Spreads start at
    ``sigma0`` over the square root of the number of inputs.
    """

    def __init__(self, inputs: int, outputs: int, sigma0: float) -> None:
        super().__init__(inputs, outputs)
        for name, mean in (("weight", self.weight), ("bias", self.bias)):
            spread = torch.full_like(mean, sigma0 / inputs**0.5)
            self.register_parameter(f"{name}{SPREAD}", nn.Parameter(spread))
        self.sample: tuple[Tensor, Tensor] | None = None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 -- the name is Torch's
        """Return the layer's output, ``[..., outputs]``, with noise if some was drawn."""
        if self.sample is None:
            return super().forward(input)
        of_inputs, of_outputs = self.sample
        weight = self.weight + self.get_parameter(f"weight{SPREAD}") * torch.outer(of_outputs, of_inputs)
        bias = self.bias + self.get_parameter(f"bias{SPREAD}") * of_outputs
        return nn.functional.linear(input, weight, bias)


@contextmanager
def noise(network: nn.Module, generator: torch.Generator | None = None) -> Iterator[None]:
    """Draw noise for all noisy layers of a network, and switch it off again at the end.

    Args:
        network: Network whose forward passes are noisy inside the ``with`` block, all by the same sample.
        generator: Source of the noise; Torch's global one by default.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, NoisyLinear)]
    if not layers:
        yield
        return
    sizes = [size for layer in layers for size in (layer.in_features, layer.out_features)]
    normal = torch.randn(sum(sizes), generator=generator)
    parts = torch.split(normal.sign() * normal.abs().sqrt(), sizes)
    for layer, of_inputs, of_outputs in zip(layers, parts[::2], parts[1::2], strict=True):
        layer.sample = (of_inputs, of_outputs)
    try:
        yield
    finally:
        for layer in layers:
            layer.sample = None


class ScorerNetwork(nn.Module):
    """Embeds every node, pools the embeddings into a context, and scores each node in that context.

    Weights are shared over nodes, so permuting the nodes permutes the scores, and the same weights serve
    five machines or two hundred. The last layer starts at zero: an untrained network is its prior.

    With atoms, the prior tilts a node's distribution: to the logit of an atom it adds the prior's score times
    the atom's distance from the middle of the range, over the variance of an even distribution. The expected
    value grows with that factor whatever the distribution is, so an untrained network still ranks the nodes
    by the prior, and an even distribution is moved by the prior's score, to first order.

    Args:
        architecture: Its shape.
        sigma0: Initial noise of the heads' layers, see `NoisyLinear`; None for layers without noise. No part
            of the shape: a policy in use has no noise.
    """

    support: Tensor
    tilt: Tensor

    def __init__(self, architecture: Architecture, sigma0: float | None = None) -> None:
        super().__init__()
        self.architecture = architecture
        hidden, outputs = architecture.hidden, max(1, architecture.atoms)

        def head(inputs: int, outputs: int) -> nn.Linear:
            return nn.Linear(inputs, outputs) if sigma0 is None else NoisyLinear(inputs, outputs, sigma0)

        self.embed_node = nn.Linear(architecture.node_features, hidden)
        self.embed_task = nn.Linear(architecture.task_features, hidden)
        self.embed_2 = nn.Linear(hidden, hidden)
        self.score_node = head(hidden, hidden)
        self.score_pool = nn.Linear(2 * hidden, hidden)
        self.score_out = head(hidden, outputs)
        self.value_task = nn.Linear(architecture.task_features, hidden)
        self.value_pool = head(2 * hidden, hidden)
        self.value_out = head(hidden, outputs)
        nn.init.zeros_(self.score_out.weight)
        nn.init.zeros_(self.score_out.bias)
        # No part of the weights: they follow from the architecture.
        support, tilt = support_and_tilt(architecture.as_dict())
        self.register_buffer("support", torch.from_numpy(support), persistent=False)
        self.register_buffer("tilt", torch.from_numpy(tilt), persistent=False)

    def forward(
        self, task: Tensor, nodes: Tensor, mask: Tensor | None = None, present: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return scores ``[batch, nodes]`` (logits, or action values) and the state's value ``[batch]``.

        Args:
            task: Task features, ``[batch, task_features]``.
            nodes: Node features, ``[batch, nodes, node_features]``.
            mask: Allowed nodes, ``[batch, nodes]``; only dueling networks look at it, to centre their
                advantages over nodes that can be chosen. None means all.
            present: 1 where there is a node, 0 where a batch of fleets of different sizes is padded,
                ``[batch, nodes]``. None means that there is no padding.
        """
        scores, values = self.outputs(task, nodes, mask, present)
        assert values is not None
        return self.expected(scores), self.expected(values)

    def expected(self, outputs: Tensor) -> Tensor:
        """Reduce the last dimension of `outputs` to one number: the distribution's mean, if it is one."""
        if self.architecture.atoms == 0:
            return outputs[..., 0]
        return outputs.softmax(-1) @ self.support

    def outputs(
        self,
        task: Tensor,
        nodes: Tensor,
        mask: Tensor | None = None,
        present: Tensor | None = None,
        *,
        with_value: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the logits of the distributions of returns that scores and value are the means of.

        They are ``[batch, nodes, atoms]`` for the nodes, ``[batch, atoms]`` (or None) for the state; without
        atoms, scores and value with a last dimension of one.

        Args:
            task: As for `forward`, like the next three.
            nodes: ``[batch, nodes, node_features]``.
            mask: ``[batch, nodes]``.
            present: ``[batch, nodes]``.
            with_value: Whether the state's value is wanted; dueling networks need it in any case.
        """
        embedded = torch.relu(self.embed_node(nodes) + self.embed_task(task)[:, None])
        embedded = torch.relu(self.embed_2(embedded))
        if present is None:
            mean = embedded.mean(dim=1)
        else:
            there = present[..., None].to(embedded.dtype)
            embedded = embedded * there  # none is negative, so a zero is never more than the maximum
            mean = embedded.sum(dim=1) / there.sum(dim=1)
        pooled = torch.cat([mean, embedded.amax(dim=1)], dim=-1)
        hidden = torch.relu(self.score_node(embedded) + self.score_pool(pooled)[:, None])
        prior = -self.architecture.prior * nodes[..., self.architecture.prior_feature, None]
        scores = self.score_out(hidden) + prior * self.tilt
        if not (with_value or self.architecture.dueling):
            return scores, None
        values = self.value_out(torch.relu(self.value_pool(pooled) + self.value_task(task)))
        if self.architecture.dueling:
            # Per atom: a mean over atoms, or a value of one number, would cancel in the softmax.
            allowed = torch.ones_like(scores[..., :1]) if mask is None else mask[..., None].to(scores.dtype)
            total = (scores * allowed).sum(-2, keepdim=True)
            scores = values[:, None] + scores - total / allowed.sum(-2, keepdim=True).clamp(min=1)
        return scores, values
