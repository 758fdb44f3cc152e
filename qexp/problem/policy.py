"""A trained policy: weights, what is known of them, and how they decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from qexp.problem.arrays import Floats, Ints
from qexp.problem.forward import forward

if TYPE_CHECKING:
    from qexp.problem.network import Architecture, ScorerNetwork


POLICIES: dict[str, type[Policy]] = {}
"""Classes of policies by the environment that they decide in; defining one enters it here."""


@dataclass(frozen=True)
class Policy:
    """A trained policy; each environment has a class derived from this.

    One that decides step by step has a method ``act``, which gets what `Scheduler.select` gets; one that
    schedules a whole problem at once has ``starts(problem)``.

    Attributes:
        environment: Where it decides, as the option of the group ``env`` is called.
        features: What its network reads, as bundles describe it: names of the ``task`` features and of those
            of ``nodes``, and the scales.
        prior_feature: Index of the node feature that an untrained policy prefers low.
        weights: Parameters by their name in `ScorerNetwork`.
        description: Content of the bundle's JSON file.
    """

    environment: ClassVar[str]
    features: ClassVar[Mapping[str, Any]]
    prior_feature: ClassVar[int] = 0

    weights: dict[str, np.ndarray] = field(repr=False)  # pages of numbers
    description: dict[str, Any] = field(repr=False)

    def __init_subclass__(cls) -> None:
        """Enter the class, so that bundles of its environment can be loaded."""
        if "environment" in vars(cls):
            POLICIES[cls.environment] = cls

    @classmethod
    def architecture(cls, **settings: Any) -> Architecture:
        """Return the shape of a network that reads the features, with other fields (imports torch)."""
        from qexp.problem.network import Architecture

        task, nodes = (len(cls.features[name]) for name in ("task", "nodes"))
        return Architecture(task, nodes, cls.prior_feature, **settings)

    @property
    def algorithm(self) -> str:
        """Name of the algorithm that trained the policy: ``a2c`` or ``dqn``."""
        return str(self.description["algorithm"])

    def scores(
        self,
        task: np.ndarray,
        nodes: np.ndarray,
        mask: np.ndarray | None = None,
        present: np.ndarray | None = None,
    ) -> Floats:
        """Return logits, or action values up to a constant per decision (DQN), ``[..., nodes]``.

        Args:
            task: Task features, ``[..., task_features]``.
            nodes: Node features, ``[..., nodes, node_features]``.
            mask: Allowed nodes, ``[..., nodes]``, as the policy was trained with; None means all. What is
                not allowed is scored too, but counts nothing for the others.
            present: False for padding, ``[..., nodes]``; None where there is none.
        """
        return forward(self.weights, self.description["architecture"], task, nodes, mask, present)

    def decide(
        self, task: np.ndarray, nodes: np.ndarray, mask: np.ndarray, present: np.ndarray | None = None
    ) -> Ints:
        """Return the index of the allowed node with the highest score of each observation, ``[batch]``.

        Args:
            task: Task features, ``[batch, task_features]``.
            nodes: Node features, ``[batch, nodes, node_features]``.
            mask: Allowed nodes, ``[batch, nodes]``.
            present: False for padding, ``[batch, nodes]``; None where there is none.
        """
        mask = np.asarray(mask, dtype=bool)
        if present is not None:
            mask = mask & np.asarray(present, dtype=bool)
        scores = np.where(mask, self.scores(task, nodes, mask, present), -np.inf)
        return np.asarray(scores.argmax(axis=-1), dtype=np.int64)

    def network(self) -> ScorerNetwork:
        """Return the same policy as a Torch module (imports torch)."""
        import torch

        from qexp.problem.network import Architecture, ScorerNetwork

        network = ScorerNetwork(Architecture(**self.description["architecture"]))
        weights = {name: torch.from_numpy(value.copy()) for name, value in self.weights.items()}
        network.load_state_dict(weights)
        return network.eval()
