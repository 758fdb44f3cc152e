"""Linear layers whose weights carry learned noise: exploration that depends on the state and fades by itself.

Fortunato et al., "Noisy Networks for Exploration" (2018), with factorised Gaussian noise. Torch's ``train()``
and ``eval()`` do not switch the noise: RLlib calls ``eval()`` on modules that explore. It is on inside
`noise`, nowhere else, so that whatever forgets about it gets the mean weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from qexp.problem.forward import SPREAD


class NoisyLinear(nn.Linear):
    """A linear layer with weights ``mean + spread * noise``; the means are named as those of `nn.Linear`.

    The noise of a weight is the product of one number per input and one per output. Spreads start at
    ``sigma0`` over the square root of the number of inputs.
    """

    def __init__(self, inputs: int, outputs: int, sigma0: float) -> None:
        super().__init__(inputs, outputs)
        start = sigma0 / inputs**0.5
        self.register_parameter(f"weight{SPREAD}", nn.Parameter(torch.full_like(self.weight, start)))
        self.register_parameter(f"bias{SPREAD}", nn.Parameter(torch.full_like(self.bias, start)))
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
