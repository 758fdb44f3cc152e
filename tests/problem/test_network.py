"""The network in Torch and in NumPy: equal, blind to the nodes' order, and mct before training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import examples
from hypothesis import given
from hypothesis import strategies as st

from qexp.placement.engine import SimulatedCloud
from qexp.placement.features import NODE_FEATURES, PRIOR_FEATURE, TASK_FEATURES
from qexp.placement.policy import PlacementPolicy
from qexp.placement.schedulers.mct import MCT
from qexp.problem.forward import forward
from qexp.problem.network import ScorerNetwork

seeds = st.integers(0, 2**31)


def random_network(seed, **architecture):
    """Return a network all of whose parameters are random: fresh ones have zeros in the last layer."""
    network = ScorerNetwork(PlacementPolicy.architecture(**architecture)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return network


def weights_of(network):
    return {name: value.numpy() for name, value in network.state_dict().items()}


def inputs(seed, batch, nodes):
    rng = np.random.default_rng(seed)
    task = rng.normal(size=(batch, len(TASK_FEATURES))).astype(np.float32)
    return task, rng.normal(size=(batch, nodes, len(NODE_FEATURES))).astype(np.float32)


def in_torch(network, *arrays):
    with torch.inference_mode():
        scores, value = network(*(torch.from_numpy(array) for array in arrays))
    return scores.numpy(), value.numpy()


@examples(60)
@given(
    seeds,
    st.integers(1, 40),
    st.sampled_from([0.0, 1.0, 4.0]),
    st.booleans(),
    st.integers(1, 4),
    st.integers(1, 12),
)
def test_numpy_computes_what_torch_computes(seed, hidden, prior, dueling, batch, nodes):
    network = random_network(seed, hidden=hidden, prior=prior, dueling=dueling)
    task, node = inputs(seed, batch, nodes)
    expected, value = in_torch(network, task, node)
    got = forward(weights_of(network), network.architecture.as_dict(), task, node)
    assert got.shape == expected.shape == (batch, nodes)
    assert value.shape == (batch,)
    if dueling:  # NumPy leaves out what is the same for all nodes of a decision
        got = got - got.mean(axis=-1, keepdims=True)
        assert expected.mean(axis=-1) == pytest.approx(value, abs=1e-4)
        expected = expected - expected.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    one = forward(weights_of(network), network.architecture.as_dict(), task[0], node[0])
    if not dueling:
        np.testing.assert_allclose(one, got[0], rtol=1e-5, atol=1e-5)


@examples(40)
@given(seeds, st.integers(1, 12), st.booleans(), st.randoms())
def test_permuting_nodes_permutes_scores(seed, nodes, dueling, random):
    order = list(range(nodes))
    random.shuffle(order)
    network = random_network(seed, hidden=8, dueling=dueling)
    task, node = inputs(seed, 3, nodes)
    scores, value = in_torch(network, task, node)
    permuted, same = in_torch(network, task, node[:, order])
    np.testing.assert_allclose(permuted, scores[:, order], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(same, value, rtol=1e-4, atol=1e-4)
    again = forward(weights_of(network), network.architecture.as_dict(), task, node[:, order])
    plain = forward(weights_of(network), network.architecture.as_dict(), task, node)
    np.testing.assert_allclose(again, plain[:, order], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("nodes", [1, 2, 5, 200])
def test_the_same_weights_serve_any_number_of_nodes(nodes):
    network = random_network(1, hidden=8)
    task, node = inputs(0, 2, nodes)
    scores, value = in_torch(network, task, node)
    assert scores.shape == (2, nodes)
    assert np.isfinite(scores).all()
    assert np.isfinite(value).all()


@pytest.mark.parametrize(
    "architecture", [{}, {"dueling": True}, {"dueling": True, "atoms": 5, "value_min": -2.0}]
)
def test_padding_changes_neither_scores_nor_value(architecture):
    network = random_network(1, hidden=8, **architecture)
    task, node = inputs(0, 3, 4)
    present = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]], dtype=np.int8)
    mask = present * np.array([1, 0, 1, 1], dtype=np.int8)
    scores, value = in_torch(network, task, node, mask, present)
    for row, nodes in enumerate([2, 4, 3]):
        alone, its_value = in_torch(
            network, task[row : row + 1], node[row : row + 1, :nodes], mask[row : row + 1, :nodes]
        )
        np.testing.assert_allclose(scores[row, :nodes], alone[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(value[row], its_value[0], rtol=1e-5, atol=1e-5)


def test_every_input_reaches_the_scores():
    network = random_network(3, hidden=32)
    task, node = inputs(0, 1, 4)
    scores, _ = in_torch(network, task, node)
    for feature in range(task.shape[-1]):
        other = task.copy()
        other[0, feature] += 1
        assert not np.allclose(in_torch(network, other, node)[0], scores), TASK_FEATURES[feature]
    for feature in range(node.shape[-1]):
        other = node.copy()
        other[0, 2, feature] += 1
        changed = in_torch(network, task, other)[0][0] != scores[0]
        # The node itself, and through the pooled context the others.
        assert changed.all(), NODE_FEATURES[feature]


def test_advantages_are_centred_over_the_nodes_that_can_be_chosen():
    network = random_network(5, hidden=8, dueling=True)
    task, node = inputs(0, 3, 4)
    mask = np.array([[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 1]], dtype=np.int8)
    scores, value = in_torch(network, task, node, mask)
    assert (scores * mask).sum(axis=-1) / mask.sum(axis=-1) == pytest.approx(value, abs=1e-5)
    nowhere, _ = in_torch(network, task, node, np.zeros_like(mask))
    assert np.isfinite(nowhere).all()


def test_an_untrained_network_is_its_prior():
    task, node = inputs(0, 3, 4)
    scores, _ = in_torch(ScorerNetwork(PlacementPolicy.architecture(prior=2.5)), task, node)
    np.testing.assert_allclose(scores, -2.5 * node[..., PRIOR_FEATURE], rtol=1e-6)
    scores, _ = in_torch(ScorerNetwork(PlacementPolicy.architecture(prior=0.0)), task, node)
    assert (scores == 0).all()


@pytest.mark.parametrize("dueling", [False, True])
def test_an_untrained_network_decides_as_mct(qce25, dueling):
    network = ScorerNetwork(PlacementPolicy.architecture(hidden=8, dueling=dueling))
    policy = PlacementPolicy(weights_of(network), {"architecture": network.architecture.as_dict()})
    mct, rng, decisions = MCT(), np.random.default_rng(0), 0
    for k in range(20):
        cloud = SimulatedCloud(qce25.fleet, qce25.episode(0, k))
        while cloud.waiting is not None:
            task, nodes = cloud.task_state(), cloud.node_state()
            assert policy.act(task, nodes) == mct.select(task, nodes)
            # Wander through more states than mct itself would meet.
            cloud.place(int(rng.choice(np.flatnonzero(task.mask))))
            decisions += 1
    assert decisions == 500
