"""Arithmetic on distributions of returns over fixed atoms.

Bellemare, Dabney and Munos, "A Distributional Perspective on Reinforcement Learning" (2017): C51.
"""

from __future__ import annotations

import torch
from torch import Tensor


def project(probabilities: Tensor, returns: Tensor, discounts: Tensor, support: Tensor) -> Tensor:
    """Distribute ``returns + discounts * (a draw of the following state's return)`` over the atoms.

    Each shifted atom's mass goes to its two neighbours, the nearer one getting more, so that the mean stays;
    what falls outside of the support goes to its end.

    Args:
        probabilities: Distribution of the following state's return, ``[batch, atoms]``.
        returns: Sum of the rewards up to that state, ``[batch]``.
        discounts: What that state's return counts, ``[batch]``.
        support: What the atoms stand for, evenly spaced and ascending, ``[atoms]``.

    Returns:
        Probabilities, ``[batch, atoms]``.
    """
    batch, atoms = probabilities.shape
    spacing = (support[-1] - support[0]) / (atoms - 1)
    shifted = returns[:, None] + discounts[:, None] * support
    places = ((shifted - support[0]) / spacing).clamp(0, atoms - 1)
    # The last atom counts as the upper neighbour of the one before: every place has two.
    lower = places.floor().clamp(max=atoms - 2)
    upper_mass = probabilities * (places - lower)
    items = (lower.long() + atoms * torch.arange(batch)[:, None]).flatten()
    projected = torch.zeros(batch * atoms)
    projected.index_add_(0, items, (probabilities - upper_mass).flatten())
    projected.index_add_(0, items + 1, upper_mass.flatten())
    return projected.view(batch, atoms)
