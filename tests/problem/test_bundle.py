"""The bundle: what was saved is loaded, nothing damaged is, and little is needed to load it."""

from __future__ import annotations

import copy
import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from qexp.errors import InputError
from qexp.placement.features import NODE_FEATURES, TASK_FEATURES, placement_features
from qexp.policy import load_policy
from qexp.problem.bundle import save_policy
from qexp.problem.policy_scheduler import A2CPolicyScheduler, DQNPolicyScheduler, PolicyScheduler

ACT = """
import numpy as np
from qexp.policy import load_policy
from qexp.problem.policy_scheduler import A2CPolicyScheduler
from qexp.placement.state import NodeState, TaskState

service = np.array([5.0, 3.0, np.inf, 8.0])
task = TaskState(
    now=2.0, arrival=1.0, width=3, depth=40, shots=1024, reschedules=0, remaining=4,
    service=service, esp=np.array([0.4, 0.1, 0.0, 0.9]), mask=np.isfinite(service),
)
nodes = NodeState(
    qubits=np.array([27, 7, 2, 127]), clops=np.array([1e3, 2e3, 3e3, 4e3]), readout_error=np.full(4, 0.01),
    free_at=np.array([4.0, 9.0, -1.0, 2.0]), pending=np.array([1, 2, 0, 0]), refusals=0,
)
policy = load_policy({path!r})
print(policy.act(task, nodes), A2CPolicyScheduler({path!r}).select(task, nodes))
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


@pytest.fixture
def bundle(tmp_path, make_weights, metadata):
    return save_policy(tmp_path / "policy", make_weights(), metadata)


def edit(bundle, change):
    """Rewrite the description of a bundle."""
    path = bundle / "policy.json"
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


def rewrite(bundle, payload):
    """Replace the weights of a bundle and the hash of them too."""
    (bundle / "policy.safetensors").write_bytes(payload)
    edit(bundle, lambda d: d.update(weights_sha256=hashlib.sha256(payload).hexdigest()))


def test_what_was_saved_is_loaded(bundle, make_weights, metadata):
    policy = load_policy(bundle)
    weights = make_weights()
    assert policy.weights.keys() == weights.keys()
    for name, value in weights.items():
        assert np.array_equal(policy.weights[name], value)
        assert policy.weights[name].dtype == np.float32
    assert policy.algorithm == "a2c"
    assert {key: policy.description[key] for key in metadata} == metadata
    assert policy.description["format"] == "qexp-policy/1"
    assert sorted(path.name for path in bundle.iterdir()) == ["policy.json", "policy.safetensors"]


def test_saving_leaves_nothing_else_behind_and_is_reproducible(bundle, make_weights, metadata):
    assert [path.name for path in bundle.parent.iterdir()] == ["policy"]
    again = save_policy(bundle.parent / "deep" / "er" / "again", make_weights(), metadata)
    for path in bundle.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_an_existing_bundle_is_replaced(bundle, make_weights, metadata):
    save_policy(bundle, make_weights(seed=1), metadata | {"algorithm": "dqn"})
    policy = load_policy(bundle)
    assert policy.algorithm == "dqn"
    assert np.array_equal(policy.weights["embed_2.weight"], make_weights(seed=1)["embed_2.weight"])


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path, make_weights, metadata, empty):
    folder = tmp_path / "thesis"
    folder.mkdir()
    if not empty:
        (folder / "chapter1.tex").write_text("precious")
    with pytest.raises(InputError, match="left alone"):
        save_policy(folder, make_weights(), metadata)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]
    assert [path.name for path in folder.iterdir()] == ([] if empty else ["chapter1.tex"])


def test_what_scores_nothing_is_not_saved(tmp_path, make_weights, metadata):
    diverged = make_weights() | {"embed_2.bias": np.full(16, np.nan)}
    with pytest.raises(InputError, match=r"not saved: .* diverged"):
        save_policy(tmp_path / "policy", diverged, metadata)
    with pytest.raises(InputError, match="not saved: the weights do not fit"):
        save_policy(tmp_path / "policy", make_weights(hidden=3) | {"embed_2.bias": np.zeros(4)}, metadata)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_left_alone(tmp_path, make_weights, metadata):
    (tmp_path / "policy").write_text("precious")
    with pytest.raises(InputError, match="left alone"):
        save_policy(tmp_path / "policy", make_weights(), metadata)
    assert (tmp_path / "policy").read_text() == "precious"


def test_a_run_folder_stands_for_its_policy(bundle):
    assert load_policy(bundle.parent).description == load_policy(bundle).description
    assert load_policy(str(bundle.parent)).algorithm == "a2c"


def test_acts_on_the_best_scored_node_that_fits(bundle, make_state):
    policy = load_policy(bundle)
    task, nodes = make_state([5, np.inf, 3, 8], mask=[True] * 4, pending=[0, 3, 1, 2])
    scores = policy.scores(*placement_features(task, nodes))
    best = max((0, 2, 3), key=lambda n: scores[n])
    # Without a mask a node that does not fit may be chosen; a policy knows better.
    assert policy.act(task, nodes) == best
    task.mask[best] = False
    assert policy.act(task, nodes) != best


def test_decides_a_batch_as_one_by_one(bundle):
    policy = load_policy(bundle)
    rng = np.random.default_rng(0)
    task = rng.normal(size=(30, len(TASK_FEATURES))).astype(np.float32)
    nodes = rng.normal(size=(30, 6, len(NODE_FEATURES))).astype(np.float32)
    mask = rng.random((30, 6)) < 0.5
    mask[:, 0] = True
    chosen = policy.decide(task, nodes, mask.astype(np.int8))
    assert chosen.dtype == np.int64
    assert chosen.shape == (30,)
    assert len(set(chosen.tolist())) > 1
    for b in range(30):
        scores = policy.scores(task[b], nodes[b])
        assert mask[b, chosen[b]]
        assert scores[chosen[b]] >= scores[mask[b]].max() - 1e-5


def test_torch_gets_the_same_weights(bundle):
    import torch

    policy = load_policy(bundle)
    network = policy.network()
    rng = np.random.default_rng(0)
    task = rng.normal(size=(3, len(TASK_FEATURES))).astype(np.float32)
    nodes = rng.normal(size=(3, 4, len(NODE_FEATURES))).astype(np.float32)
    with torch.inference_mode():
        scores, _ = network(torch.from_numpy(task), torch.from_numpy(nodes))
        network.embed_2.weight.zero_()  # what is done to the network does not reach the policy
    np.testing.assert_allclose(scores.numpy(), policy.scores(task, nodes), rtol=1e-4, atol=1e-4)
    assert policy.weights["embed_2.weight"].any()


def drop_weight(bundle):
    weights = load((bundle / "policy.safetensors").read_bytes())
    del weights["score_out.bias"]
    rewrite(bundle, save(weights))


def other_shape(bundle):
    weights = load((bundle / "policy.safetensors").read_bytes())
    weights["embed_2.weight"] = weights["embed_2.weight"][:5].copy()
    rewrite(bundle, save(weights))


def other_weights(bundle):
    weights = load((bundle / "policy.safetensors").read_bytes())
    weights["score_out.weight"] = -weights["score_out.weight"]
    rewrite(bundle, save(weights))


def no_numbers(bundle):
    weights = load((bundle / "policy.safetensors").read_bytes())
    weights["score_out.bias"] = np.full_like(weights["score_out.bias"], np.nan)
    rewrite(bundle, save(weights))
    edit(bundle, lambda d: d.update(golden=[[float("nan")] * 6] * 4))


def flip_a_bit(bundle):
    payload = bytearray((bundle / "policy.safetensors").read_bytes())
    payload[-7] ^= 1
    (bundle / "policy.safetensors").write_bytes(payload)


DAMAGES = {
    "a bit of the weights": (flip_a_bit, "does not match the hash"),
    "no weights": (lambda b: (b / "policy.safetensors").unlink(), "No such file"),
    "no description": (lambda b: (b / "policy.json").unlink(), "no policy bundle"),
    "empty description": (lambda b: (b / "policy.json").write_text(""), "not valid JSON"),
    "cut description": (lambda b: (b / "policy.json").write_text('{"format": "qexp'), "not valid JSON"),
    "binary description": (lambda b: (b / "policy.json").write_bytes(b"\xff\xfe{"), "not valid JSON"),
    "a list": (lambda b: (b / "policy.json").write_text("[]"), "is not a qexp-policy/1 bundle"),
    "another format": (
        lambda b: edit(b, lambda d: d.update(format="qexp-policy/2")),
        "is not a qexp-policy/1 bundle",
    ),
    "other hash": (lambda b: edit(b, lambda d: d.update(weights_sha256="0" * 64)), "does not match the hash"),
    "other features": (
        lambda b: edit(b, lambda d: d["features"]["nodes"].reverse()),
        "made for other features",
    ),
    "other scales": (
        lambda b: edit(b, lambda d: d["features"]["scales"].update(linear=60.0)),
        "made for other features",
    ),
    "other golden values": (lambda b: edit(b, lambda d: d["golden"][1].reverse()), "computes other scores"),
    "other prior": (
        lambda b: edit(b, lambda d: d["architecture"].update(prior=1.0)),
        "computes other scores",
    ),
    "other prior feature": (
        lambda b: edit(b, lambda d: d["architecture"].update(prior_feature=0)),
        "computes other scores",
    ),
    "other weights, other hash": (other_weights, "computes other scores"),
    "weights that are no numbers": (no_numbers, "computes other scores"),
    "a weight missing": (drop_weight, "does not hold the weights"),
    "a weight of another shape": (other_shape, "does not hold the weights"),
    "no safetensors": (lambda b: rewrite(b, b"pickle?"), "does not hold the weights"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_bundle_is_refused(bundle, damage, message):
    damage(bundle)
    with pytest.raises(InputError, match=message) as caught:
        load_policy(bundle)
    assert str(caught.value).startswith("scheduler.path: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["nowhere", "file", "folder"])
def test_what_is_no_bundle_is_refused(tmp_path, path):
    (tmp_path / "file").write_text("{}")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="scheduler.path: no policy bundle at .*" + path):
        load_policy(tmp_path / path)


@pytest.mark.parametrize("value", [None, "x", -1, 10**9, [], {}, float("nan"), True, [[1, "a"]]], ids=repr)
def test_a_description_with_nonsense_is_refused_or_harmless(bundle, make_state, value):
    """Whatever is put in place of a value: no other error than the one users are told about."""
    path = bundle / "policy.json"
    original = json.loads(path.read_text())
    state = make_state([5, 3, 8])
    for key in original:
        for inner in [None, *(original[key] if isinstance(original[key], dict) else ())]:
            description = copy.deepcopy(original)
            if inner is None:
                description[key] = value
            else:
                description[key][inner] = value
            path.write_text(json.dumps(description))
            try:
                policy = load_policy(bundle)
            except InputError:
                continue
            assert policy.act(*state) in {0, 1, 2}
            # Only what changes no score is let through.
            assert (key, inner) not in {("golden", None), ("features", None), ("architecture", "prior")}


def test_a_description_lacking_something_is_refused(bundle):
    original = json.loads((bundle / "policy.json").read_text())
    for key in ("format", "algorithm", "architecture", "features", "weights_sha256", "golden"):
        edit(bundle, lambda d, key=key: d.pop(key))
        with pytest.raises(InputError, match=r"scheduler\.path"):
            load_policy(bundle)
        (bundle / "policy.json").write_text(json.dumps(original))
    load_policy(bundle)


def test_schedulers_check_who_trained_the_policy(tmp_path, make_weights, metadata):
    paths = {
        name: str(save_policy(tmp_path / name, make_weights(), metadata | {"algorithm": name}))
        for name in ("a2c", "dqn")
    }
    assert A2CPolicyScheduler(paths["a2c"]).policy.algorithm == "a2c"
    assert DQNPolicyScheduler(paths["dqn"]).policy.algorithm == "dqn"
    for name, path in paths.items():
        assert PolicyScheduler(path).policy.algorithm == name
    with pytest.raises(InputError, match="trained with dqn, not a2c"):
        A2CPolicyScheduler(paths["dqn"])
    with pytest.raises(InputError, match="trained with a2c, not dqn"):
        DQNPolicyScheduler(paths["a2c"])


def test_a_scheduler_without_a_policy_says_what_it_needs(make_state):
    with pytest.raises(InputError, match=r"scheduler\.path"):
        PolicyScheduler().select(*make_state([1, 2]))


def test_the_scheduler_acts_as_the_policy(bundle, make_state):
    scheduler = PolicyScheduler(str(bundle))
    for backlog in range(20):
        state = make_state([5, 3, 8], [backlog, 9, -1])
        assert scheduler.select(*state) == load_policy(bundle).act(*state)


@pytest.mark.parametrize("blocked", [("ray", "gymnasium", "simpy"), ("torch", "ray", "gymnasium", "simpy")])
def test_acting_needs_no_framework(bundle, python, without, tmp_path, blocked):
    ended = python("-c", without(*blocked) + ACT.format(path=str(bundle)), cwd=tmp_path)
    assert ended.err == ""
    assert ended.status == 0
    decisions, modules = ended.out.splitlines()
    scope: dict[str, object] = {}
    exec("import sys\n" + ACT.format(path=str(bundle)).partition("print")[0], scope)  # noqa: S102 - the same lines here
    expected = scope["policy"].act(scope["task"], scope["nodes"])
    assert decisions == f"{expected} {expected}"
    assert not {*blocked, "pandas", "mlflow", "torch"} & set(modules.split())
