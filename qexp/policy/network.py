"""The placement network: one scorer shared by all nodes, for any number and order of machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qexp.policy.features import NODE_FEATURES, PRIOR_FEATURE, TASK_FEATURES


@dataclass(frozen=True)
class Architecture:
    """Shape of a placement network.

    Attributes:
        hidden: Width of every hidden layer.
        prior: Weight of the prior: each score starts at minus ``prior`` times the log of the node's finish
            time over the best one, so an untrained network prefers what minimum completion time would
            choose. 0 switches it off.
        task_features: Length of the task's feature vector.
        node_features: Length of each node's feature vector.
        prior_feature: Index of the node feature that the prior reads.
        dueling: Whether scores are the value plus advantages centred over the allowed nodes (Wang et al.,
            "Dueling Network Architectures for Deep Reinforcement Learning", 2016).
    """

    hidden: int = 64
    prior: float = 4.0
    task_features: int = len(TASK_FEATURES)
    node_features: int = len(NODE_FEATURES)
    prior_feature: int = PRIOR_FEATURE
    dueling: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a plain mapping, as stored in bundles and checkpoints."""
        return asdict(self)


class PlacementNetwork(nn.Module):
    """Embeds every node, pools the embeddings into a context, and scores each node in that context.

    Weights are shared over nodes, so permuting the nodes permutes the scores, and the same weights serve
    five machines or two hundred. The last layer starts at zero: an untrained network is its prior.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        hidden = architecture.hidden
        self.embed_node = nn.Linear(architecture.node_features, hidden)
        self.embed_task = nn.Linear(architecture.task_features, hidden)
        self.embed_2 = nn.Linear(hidden, hidden)
        self.score_node = nn.Linear(hidden, hidden)
        self.score_pool = nn.Linear(2 * hidden, hidden)
        self.score_out = nn.Linear(hidden, 1)
        self.value_task = nn.Linear(architecture.task_features, hidden)
        self.value_pool = nn.Linear(2 * hidden, hidden)
        self.value_out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.score_out.weight)
        nn.init.zeros_(self.score_out.bias)

    def forward(self, task: Tensor, nodes: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Score every node.

        Args:
            task: Task features, ``[batch, task_features]``.
            nodes: Node features, ``[batch, nodes, node_features]``.
            mask: Allowed nodes, ``[batch, nodes]``; only dueling networks look at it, to centre their
                advantages over nodes that can be chosen. None means all.

        Returns:
            Scores ``[batch, nodes]`` (logits, or action values) and the state's value ``[batch]``.
        """
        embedded = torch.relu(self.embed_node(nodes) + self.embed_task(task)[:, None])
        embedded = torch.relu(self.embed_2(embedded))
        pooled = torch.cat([embedded.mean(dim=1), embedded.amax(dim=1)], dim=-1)
        hidden = torch.relu(self.score_node(embedded) + self.score_pool(pooled)[:, None])
        scores = self.score_out(hidden)[..., 0]
        scores = scores - self.architecture.prior * nodes[..., self.architecture.prior_feature]
        value = self.value_out(torch.relu(self.value_pool(pooled) + self.value_task(task)))[..., 0]
        if self.architecture.dueling:
            allowed = torch.ones_like(scores) if mask is None else mask.to(scores.dtype)
            mean = (scores * allowed).sum(-1, keepdim=True) / allowed.sum(-1, keepdim=True).clamp(min=1)
            scores = value[:, None] + scores - mean
        return scores, value
