"""The scorer network's forward pass on NumPy: what serves a policy where Torch is not wanted.

For single decisions it is also the fastest way. `qexp.problem.network.ScorerNetwork` is the same function
on Torch, where it can be trained; tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qexp.problem.arrays import Float32s, Floats

Weights = Mapping[str, np.ndarray]
SPREAD = "_spread"  # ends the names of the parameters that only noise in training needs


def forward(
    weights: Weights,
    architecture: Mapping[str, Any],
    task: np.ndarray,
    nodes: np.ndarray,
    mask: np.ndarray | None = None,
    present: np.ndarray | None = None,
) -> Floats:
    """Compute `ScorerNetwork`'s scores on NumPy; see there for shapes.

    Without atoms the value head is left out: it adds the same to every node of a decision.

    Args:
        weights: Arrays by their PyTorch names, as in a bundle.
        architecture: The network's shape, as in a bundle.
        task: Task features, ``[..., task_features]``.
        nodes: Node features, ``[..., nodes, node_features]``.
        mask: Allowed nodes, ``[..., nodes]``; None means all.
        present: Nodes that are no padding, ``[..., nodes]``; None means all.
    """

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    embedded = np.maximum(linear("embed_node", nodes) + linear("embed_task", task)[..., None, :], 0.0)
    embedded = np.maximum(linear("embed_2", embedded), 0.0)
    if present is None:
        mean = embedded.mean(axis=-2)
    else:
        there = present[..., None].astype(np.float32)
        embedded *= there
        mean = embedded.sum(axis=-2) / there.sum(axis=-2)
    pooled = np.concatenate([mean, embedded.max(axis=-2)], axis=-1)
    hidden = np.maximum(linear("score_node", embedded) + linear("score_pool", pooled)[..., None, :], 0.0)
    scores = linear("score_out", hidden)
    prior = architecture["prior"] * nodes[..., architecture["prior_feature"]]
    if architecture.get("atoms", 0) == 0:
        return np.asarray(scores[..., 0] - prior)
    if scores.shape[-1] != architecture["atoms"]:
        raise ValueError(f"{scores.shape[-1]} outputs for {architecture['atoms']} atoms")
    support, tilt = support_and_tilt(architecture)
    scores -= prior[..., None] * tilt
    if architecture["dueling"]:
        hidden = np.maximum(linear("value_pool", pooled) + linear("value_task", task), 0.0)
        allowed = np.ones_like(scores[..., :1]) if mask is None else mask[..., None].astype(np.float32)
        mean = (scores * allowed).sum(axis=-2, keepdims=True)
        scores -= mean / np.maximum(allowed.sum(axis=-2, keepdims=True), 1.0)
        scores += linear("value_out", hidden)[..., None, :]
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(scores @ support / scores.sum(axis=-1))


def support_and_tilt(architecture: Mapping[str, Any]) -> tuple[Float32s, Float32s]:
    """Return each atom's return, and the factor of the prior's score in its logit, ``[atoms]`` each.

    See `ScorerNetwork`; without atoms, the prior's score is added as it is.
    """
    atoms = architecture["atoms"]
    if atoms == 0:
        return np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32)
    support = np.linspace(architecture["value_min"], architecture["value_max"], atoms)
    return support.astype(np.float32), ((support - support.mean()) / support.var()).astype(np.float32)
