"""Distributions of returns, and dueling with and without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import ATOMS, observations, randomise, shape, slow_projection
from toys import NODES

from qexp.algo import DQN
from qexp.algo.q_learning import project
from qexp.errors import InputError
from qexp.placement.features import PRIOR_FEATURE
from qexp.problem.network import ScorerNetwork


@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 5),
    atoms=st.integers(2, 12),
    ends=st.tuples(st.integers(-10, 10), st.integers(1, 20)),
    discount=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    whole=st.booleans(),
)
def test_the_projection_is_that_of_a_loop_over_atoms(seed, batch, atoms, ends, discount, whole):
    rng = np.random.default_rng(seed)
    support = np.linspace(ends[0], ends[0] + ends[1], atoms)
    probabilities = rng.dirichlet(np.ones(atoms), batch)
    # Whole rewards often hit an atom exactly, or the support's end.
    rewards = rng.integers(-12, 12, batch).astype(float) if whole else rng.normal(0, 8, batch)
    got = project(
        *(
            torch.from_numpy(x.astype(np.float32))
            for x in (probabilities, rewards, np.full(batch, discount), support)
        )
    ).numpy()
    expected = [slow_projection(*row, discount, support) for row in zip(probabilities, rewards, strict=True)]
    np.testing.assert_allclose(got, expected, atol=2e-4)
    assert got.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (got >= 0).all()


@given(seed=st.integers(0, 2**32 - 1), atoms=st.integers(2, 60))
def test_inside_the_support_the_projection_keeps_the_mean(seed, atoms):
    rng = np.random.default_rng(seed)
    support = np.linspace(-8, 0, atoms)
    probabilities = rng.dirichlet(np.ones(atoms), 3)
    # Half of the following return plus -4 to 0 stays within -8 to 0.
    rewards = rng.uniform(-4, 0, 3)
    got = project(
        *(torch.from_numpy(x.astype(np.float32)) for x in (probabilities, rewards, np.full(3, 0.5), support))
    ).numpy()
    np.testing.assert_allclose(got @ support, rewards + 0.5 * probabilities @ support, atol=1e-4)


@given(seed=st.integers(0, 2**32 - 1), dueling=st.booleans(), prior=st.sampled_from([0.5, 4.0]))
def test_an_untrained_distribution_still_ranks_nodes_by_the_prior(seed, dueling, prior):
    torch.manual_seed(seed)  # the value stream starts at random
    network = ScorerNetwork(shape(dueling=dueling, prior=prior, **ATOMS))
    seen = observations(seed, 20)
    seen["nodes"][..., PRIOR_FEATURE].abs_()
    scores, _ = network(task=seen["task"], nodes=seen["nodes"], mask=seen["action_mask"])
    gaps = seen["nodes"][..., PRIOR_FEATURE]
    order = gaps.argsort(-1)
    sorted_scores = scores.gather(-1, order)
    assert (sorted_scores.diff(dim=-1) < 1e-6).all()
    assert torch.equal(scores.argmax(-1), gaps.argmin(-1))
    assert ((scores >= -3) & (scores <= 1)).all()


def test_a_small_prior_moves_an_even_distribution_by_itself():
    network = ScorerNetwork(shape(prior=0.1, **ATOMS))
    seen = observations(0, 10)
    seen["nodes"][..., PRIOR_FEATURE] = 1.0
    scores, _ = network(seen["task"], seen["nodes"])
    assert scores.detach().numpy() == pytest.approx(-1.0 - 0.1, abs=1e-3)


def test_scores_are_the_means_of_the_distributions():
    network = randomise(ScorerNetwork(shape(dueling=True, **ATOMS)))
    seen = observations(0, 6)
    logits, _ = network.outputs(seen["task"], seen["nodes"], seen["action_mask"])
    assert logits.shape == (6, NODES, 11)
    scores, _ = network(seen["task"], seen["nodes"], seen["action_mask"])
    expected = np.exp(logits.detach().numpy()) @ np.linspace(-3, 1, 11)
    expected /= np.exp(logits.detach().numpy()).sum(-1)
    np.testing.assert_allclose(scores.detach().numpy(), expected, atol=1e-5)


def test_a_range_without_extent_is_refused_by_its_key():
    with pytest.raises(InputError, match=r"^algo\.value_min=2: must be below algo\.value_max=2"):
        DQN(distributional=True, value_min=2.0, value_max=2.0)
    DQN(distributional=False, value_min=2.0, value_max=2.0)


# Dueling.


@pytest.mark.parametrize("atoms", [{}, ATOMS], ids=["plain", "distributional"])
def test_the_value_stream_moves_the_scores_of_dueling_networks_alone(atoms):
    seen = observations(0, 6)
    for dueling in (True, False):
        network = randomise(ScorerNetwork(shape(dueling=dueling, **atoms)))
        before, _ = network(seen["task"], seen["nodes"], seen["action_mask"])
        with torch.no_grad():
            network.value_out.weight[0] += 1.0
        after, _ = network(seen["task"], seen["nodes"], seen["action_mask"])
        assert torch.equal(before, after) == (not dueling)


@pytest.mark.slow
@pytest.mark.parametrize("atoms", [{}, ATOMS], ids=["plain", "distributional"])
def test_values_are_the_means_over_the_allowed_nodes_of_every_atom(atoms):
    network = randomise(ScorerNetwork(shape(dueling=True, **atoms)))
    seen = observations(3, 20)
    outputs, values = network.outputs(seen["task"], seen["nodes"], seen["action_mask"])
    allowed = seen["action_mask"][..., None]
    mean = (outputs * allowed).sum(1) / allowed.sum(1)
    # So the two streams are identifiable: one cannot grow at the other's cost.
    torch.testing.assert_close(mean, values, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        network.score_out.bias += torch.arange(len(network.score_out.bias))
    again, _ = network.outputs(seen["task"], seen["nodes"], seen["action_mask"])
    torch.testing.assert_close(again, outputs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("atoms", [{}, ATOMS], ids=["plain", "distributional"])
def test_forbidden_nodes_do_not_count_for_the_others(atoms):
    network = randomise(ScorerNetwork(shape(dueling=True, **atoms)))
    seen = observations(3, 1)
    seen["action_mask"][:] = torch.tensor([1, 1, 1, 0])
    outputs, values = network.outputs(seen["task"], seen["nodes"], seen["action_mask"])
    torch.testing.assert_close(outputs[:, :3].mean(1), values, atol=1e-5, rtol=1e-5)
    everything, _ = network.outputs(seen["task"], seen["nodes"], None)
    assert not torch.allclose(everything, outputs)
