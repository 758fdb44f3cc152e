"""Noise in the weights: drawn when asked for, factorised, learned, and gone at the end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from networks import ATOMS, make_module, observations, shape
from ray.rllib.core.columns import Columns

from qexp.algo.modules import QF_NEXT_PREDS, QF_PREDS, QF_TARGET_NEXT_PREDS
from qexp.placement.features import PRIOR_FEATURE
from qexp.problem.network import NoisyLinear, ScorerNetwork, noise


def test_a_noisy_layer_is_its_mean_until_noise_is_drawn():
    layer = NoisyLinear(6, 4, sigma0=0.5)
    x = torch.randn(5, 6)
    assert {name for name, _ in layer.named_parameters()} >= {"weight", "bias"}
    for mode in (True, False):  # Torch's own switch changes nothing
        layer.train(mode)
        assert torch.equal(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))
        with noise(layer):
            first = layer(x)
            assert torch.equal(first, layer(x))
        with noise(layer):
            assert not torch.allclose(first, layer(x))
    with pytest.raises(KeyError), noise(layer):
        raise KeyError
    assert layer.sample is None


@pytest.mark.slow
def test_noise_is_factorised_with_the_paper_s_spread():
    layer = NoisyLinear(16, 3, sigma0=0.5)
    generator = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(4000):
        with noise(layer, generator), torch.no_grad():
            bias = layer(torch.zeros(1, 16))[0]
            weights = (layer(torch.eye(16)) - bias).T
        draws.append(weights - layer.weight.detach())
    noises = torch.stack(draws)
    assert (torch.linalg.matrix_rank(noises[:100], rtol=1e-4) == 1).all()
    # f(x) = sign(x) sqrt(|x|) has variance E|x| = sqrt(2 / pi); a weight's noise has two such factors.
    expected = 0.5 / 16**0.5 * (2 / np.pi) ** 0.5
    assert noises.mean(0).abs().max() < 0.01
    assert noises.std(0).numpy() == pytest.approx(expected, rel=0.1)


def test_spreads_are_learned_and_means_start_as_without_noise():
    module = make_module(sigma0=0.5)
    batch = {Columns.OBS: observations(0, 32), Columns.NEXT_OBS: observations(1, 32)}
    module._forward_train(batch)[QF_PREDS].masked_fill(
        batch[Columns.OBS]["action_mask"] == 0, 0
    ).sum().backward()
    spreads = {n: p for n, p in module.network.named_parameters() if n.endswith("_spread")}
    assert {name.split(".")[0] for name in spreads} == {"score_node", "score_out", "value_pool", "value_out"}
    assert all(p.grad.abs().sum() > 0 for n, p in spreads.items() if n.startswith("score"))
    fresh = ScorerNetwork(shape(prior=2.0), 0.5)
    seen = observations(0, 5)
    scores, _ = fresh(seen["task"], seen["nodes"])
    torch.testing.assert_close(scores, -2.0 * seen["nodes"][..., PRIOR_FEATURE])


@pytest.mark.parametrize("atoms", [{}, ATOMS], ids=["plain", "distributional"])
def test_noise_explores_without_epsilon_and_more_where_the_choice_is_close(atoms):
    module = make_module(sigma0=0.5, prior=4.0, **atoms)
    with torch.no_grad():
        for layer in (module.network.score_out, module.network.value_out):
            layer.weight.zero_()
            layer.bias.zero_()
    seen = observations(0, 2)
    seen["action_mask"][:] = 1
    seen["nodes"][..., PRIOR_FEATURE] = torch.tensor([[0.0, 0.01, 0.02, 0.03], [0.0, 2.0, 2.0, 2.0]])
    generator = torch.Generator().manual_seed(0)
    batch = {Columns.OBS: seen}
    drawn = torch.stack(
        [module.forward_exploration(batch, generator=generator)[Columns.ACTIONS] for _ in range(200)]
    )
    others = (drawn != 0).float().mean(0)
    assert others[0] > 0.05
    assert others[0] > 2 * others[1]
    greedy = {tuple(module.forward_inference(batch)[Columns.ACTIONS].tolist()) for _ in range(5)}
    assert greedy == {(0, 0)}
    plain = make_module(prior=4.0, **atoms)
    assert {
        tuple(plain.forward_exploration(batch, generator=generator)[Columns.ACTIONS].tolist())
        for _ in range(20)
    } == {tuple(plain.forward_inference(batch)[Columns.ACTIONS].tolist())}


def test_every_training_pass_draws_new_noise():
    module = make_module(sigma0=0.5)
    seen = observations(0, 8)
    seen["action_mask"][:] = 1
    module.target_network.load_state_dict(module.network.state_dict())
    first = module._forward_train({Columns.OBS: seen, Columns.NEXT_OBS: seen})
    second = module._forward_train({Columns.OBS: seen, Columns.NEXT_OBS: seen})
    values = [
        part[key] for part in (first, second) for key in (QF_PREDS, QF_NEXT_PREDS, QF_TARGET_NEXT_PREDS)
    ]
    assert not any(torch.allclose(a, b) for a, b in itertools.combinations(values, 2))
