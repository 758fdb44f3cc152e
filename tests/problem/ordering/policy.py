"""A policy that orders jobs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.problem.policy import Policy


def features(lengths, waiting):
    """The network's input: the length of each job that waits beside their mean."""
    mean = (lengths * waiting).sum(axis=-1, keepdims=True) / np.maximum(
        waiting.sum(axis=-1, keepdims=True), 1
    )
    relative = np.where(waiting, lengths / np.maximum(mean, 1e-9), 0.0).clip(0, 10)
    return np.ones((*lengths.shape[:-1], 1), np.float32), relative[..., None].astype(np.float32)


@dataclass(frozen=True)
class OrderingPolicy(Policy):
    """A policy of ``env=ordering``."""

    environment = "ordering"
    features = {"task": ["bias"], "nodes": ["relative_length"]}  # noqa: RUF012 - nobody writes into it

    def act(self, lengths):
        return int(self.scores(*features(lengths, np.ones_like(lengths, dtype=bool))).argmax())
