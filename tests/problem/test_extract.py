"""From an RLlib checkpoint to a bundle: without Ray, and running nothing that the checkpoint brings along."""

from __future__ import annotations

import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from qexp.errors import InputError
from qexp.policy import load_policy
from qexp.problem.extract import extract, main

MODULE_STATE = Path("learner_group/learner/rl_module/default_policy/module_state.pkl")
RUN_MAIN = """
from qexp.problem.extract import main
status = main([{checkpoint!r}, {out!r}])
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
sys.exit(status)
"""


@pytest.fixture
def make_checkpoint(tmp_path, make_weights, metadata):
    """Write the part of a checkpoint that matters; ``state`` is pickled, or written if it is bytes."""

    def make(state=None, description=metadata, protocol=None):
        folder = tmp_path / "iteration_000007"
        (folder / MODULE_STATE).parent.mkdir(parents=True, exist_ok=True)
        (folder / "qexp.json").write_text(json.dumps(description))
        if state is None:
            state = OrderedDict((f"network.{name}", value) for name, value in make_weights().items())
            state["critic.weight"] = np.ones(3, dtype=np.float32)  # not the policy's
        payload = state if isinstance(state, bytes) else pickle.dumps(state, protocol)
        (folder / MODULE_STATE).write_bytes(payload)
        return folder

    return make


class Runs:
    """Runs a shell command when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_a_checkpoint_becomes_a_bundle(make_checkpoint, make_weights, metadata, tmp_path, protocol):
    checkpoint = make_checkpoint(protocol=protocol)
    before = sorted(path.relative_to(checkpoint) for path in checkpoint.rglob("*"))
    out = extract(checkpoint, tmp_path / "out" / "policy")
    policy = load_policy(out)
    assert policy.weights.keys() == make_weights().keys()
    for name, value in make_weights().items():
        assert np.array_equal(policy.weights[name], value)
    assert {key: policy.description[key] for key in metadata} == metadata
    assert sorted(path.relative_to(checkpoint) for path in checkpoint.rglob("*")) == before


def test_views_and_scalars_are_arrays_too(make_checkpoint, make_weights, tmp_path):
    # Not contiguous, and of another precision.
    state = {
        f"network.{name}": np.asfortranarray(value, np.float64) for name, value in make_weights().items()
    }
    policy = load_policy(extract(make_checkpoint(state | {"steps": 3}), tmp_path / "policy"))
    for name, value in make_weights().items():
        assert np.array_equal(policy.weights[name], value)


def test_the_command_prints_where_the_bundle_is(make_checkpoint, tmp_path, capsys):
    assert main([str(make_checkpoint()), str(tmp_path / "policy")]) == 0
    seen = capsys.readouterr()
    assert seen.out.strip() == str(tmp_path / "policy")
    assert seen.err == ""
    assert load_policy(tmp_path / "policy").algorithm == "a2c"


@pytest.mark.parametrize("blocked", [("ray", "gymnasium", "simpy"), ("torch", "ray", "gymnasium", "simpy")])
def test_the_command_needs_no_framework(make_checkpoint, make_weights, python, without, tmp_path, blocked):
    code = without(*blocked) + RUN_MAIN.format(
        checkpoint=str(make_checkpoint()), out=str(tmp_path / "policy")
    )
    ended = python("-c", code, cwd=tmp_path)
    assert (ended.status, ended.err) == (0, "")
    place, modules = ended.out.splitlines()
    assert place == str(tmp_path / "policy")
    assert not {"ray", "gymnasium", "simpy", "torch", "mlflow"} & set(modules.split())
    assert load_policy(tmp_path / "policy").weights.keys() == make_weights().keys()


def test_as_a_module_it_runs_where_the_frameworks_are_missing(make_checkpoint, python, without, tmp_path):
    code = without("ray", "gymnasium", "simpy", "torch") + (
        f"import runpy\nsys.argv = ['extract', {str(make_checkpoint())!r}, {str(tmp_path / 'policy')!r}]\n"
        "runpy.run_module('qexp.problem.extract', run_name='__main__', alter_sys=True)\n"
    )
    ended = python("-c", code, cwd=tmp_path)
    assert (ended.status, ended.err) == (0, "")
    assert load_policy(tmp_path / "policy").algorithm == "a2c"


@pytest.mark.parametrize(
    "where", ["instead of the state", "as a value", "inside an array", "beside the weights"]
)
def test_a_malicious_checkpoint_is_refused_and_not_run(
    make_checkpoint, make_weights, tmp_path, capsys, where
):
    marker = tmp_path / "was-run"
    evil = Runs(marker)
    weights = {f"network.{name}": value for name, value in make_weights().items()}
    state = {
        "instead of the state": evil,
        "as a value": {"network.embed_2.weight": evil},
        "inside an array": {"network.embed_2.weight": np.array([evil], dtype=object)},
        "beside the weights": weights | {"optimiser": evil},
    }[where]
    assert main([str(make_checkpoint(state)), str(tmp_path / "policy")]) == 2
    seen = capsys.readouterr()
    assert "refused" in seen.err
    assert "system" in seen.err
    assert seen.err.count("\n") == 1
    assert not marker.exists()
    assert not (tmp_path / "policy").exists()
    # The weapon is loaded: an ordinary unpickler would have fired it.
    pickle.loads(pickle.dumps(evil))  # noqa: S301
    assert marker.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n.",
        b"cnumpy\nload\n.",
        b"cqexp.policy.extract\nmain\n.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x0andarray.x\x93.",
    ],
    ids=["eval", "getattr", "numpy.load", "our own code", "os.system", "dotted"],
)
def test_nothing_but_arrays_is_named(make_checkpoint, tmp_path, payload):
    with pytest.raises(InputError, match="refused"):
        extract(make_checkpoint(payload), tmp_path / "policy")
    assert not (tmp_path / "policy").exists()


def test_a_checkpoint_cut_anywhere_is_refused(make_checkpoint, make_weights, tmp_path):
    payload = pickle.dumps({f"network.{name}": value for name, value in make_weights(hidden=2).items()})
    for cut in range(0, len(payload), 7):
        with pytest.raises(InputError, match="refused"):
            extract(make_checkpoint(payload[:cut]), tmp_path / "policy")
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize(
    "state",
    [
        [1, 2],
        {},
        {"other.weight": np.ones(3)},
        {3: np.ones(3)},
        {"network.embed_2.weight": "text"},
        {"network.embed_2.weight": None},
        {"network.embed_2.weight": np.ones((16, 16))},
    ],
    ids=["a list", "empty", "no network", "numbered", "text", "nothing", "one of many"],
)
def test_a_state_that_is_no_placement_network_is_refused(make_checkpoint, tmp_path, state, capsys):
    assert main([str(make_checkpoint(state)), str(tmp_path / "policy")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize(
    "description",
    [[], {}, {"algorithm": "a2c"}, {"architecture": {}}, {"algorithm": "a2c", "architecture": {}}, None],
    ids=repr,
)
def test_a_description_that_is_none_of_ours_is_refused(make_checkpoint, tmp_path, capsys, description):
    assert main([str(make_checkpoint(description=description)), str(tmp_path / "policy")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize("missing", ["qexp.json", str(MODULE_STATE), "all"])
def test_what_is_no_checkpoint_is_refused(make_checkpoint, tmp_path, capsys, missing):
    checkpoint = make_checkpoint()
    if missing == "all":
        checkpoint = tmp_path / "nowhere"
    else:
        (checkpoint / missing).unlink()
    assert main([str(checkpoint), str(tmp_path / "policy")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("qexp: ")
    assert "not a checkpoint of a qexp training run" in error
    assert str(checkpoint) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "policy").exists()


def test_a_folder_in_the_way_is_left_alone(make_checkpoint, tmp_path, capsys):
    checkpoint = make_checkpoint()
    before = sorted(checkpoint.rglob("*"))
    assert main([str(checkpoint), str(checkpoint)]) == 2
    assert "left alone" in capsys.readouterr().err
    assert sorted(checkpoint.rglob("*")) == before
