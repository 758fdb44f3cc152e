"""Algorithms that others write: a class in one file, and nothing else to touch."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from toys import LENGTH, best_cost, random_cost
from training import SMALL_A2C, SMALL_DQN, cost_of_policy, policy_weights, run

from qexp.algo import A2C, DQN, PPO, OnPolicy, Training
from qexp.config.option import REGISTRY, option
from qexp.errors import InputError


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    monkeypatch.setitem(REGISTRY, "algo", dict(REGISTRY["algo"]))


def make_silent(base, **namespace):
    """A dataclass with one more setting than its base, and whatever else is given."""
    namespace = {"__annotations__": {"care": float}, "care": 0.2, "__module__": "mypkg.algo", **namespace}
    return option("algo", "mine")(dataclass(kw_only=True)(type("Mine", (base,), namespace)))


@pytest.mark.parametrize("base", [A2C, PPO, DQN])
def test_settings_that_nothing_reads_are_refused(base):
    with pytest.raises(InputError) as refused:
        make_silent(base)()
    define = "rllib(self)" if base is DQN else "loss(self, batch, progress)"
    assert str(refused.value) == (
        f"algo=mine: mypkg.algo.Mine adds care to {base.__name__}, and nothing that reads it: define {define}"
    )


def test_a_setting_two_classes_down_is_refused_too():
    read = make_silent(A2C, loss=lambda self, batch, _: A2C.loss(self, batch, 0.0))
    read()
    further = type("Further", (read,), {"__annotations__": {"tau": float}, "tau": 1.0})
    with pytest.raises(InputError, match=r"adds tau to Mine, and nothing that reads it"):
        dataclass(kw_only=True)(further)()


def test_whoever_inherits_a_loss_from_elsewhere_defines_one():
    class Clipped:
        def loss(self, batch, progress):
            return A2C.loss(self, batch, progress)

    mine = dataclass(kw_only=True)(type("Mine", (Clipped, A2C), {"__annotations__": {"clip": float}}))
    assert mine(clip=0.3).clip == 0.3


@pytest.mark.parametrize(
    ("base", "define"),
    [
        (Training, "derive it from qexp.algo.OnPolicy and define loss, or define rllib(self)"),
        (OnPolicy, "define loss(self, batch, progress)"),
    ],
)
def test_an_algorithm_that_does_not_say_how_it_learns_is_refused(base, define):
    with pytest.raises(InputError) as refused:
        make_silent(base)()
    assert str(refused.value) == f"algo=mine: mypkg.algo.Mine does not say how it learns: {define}"


def test_a_default_without_a_type_is_refused_as_it_would_change_nothing():
    mine = dataclass(kw_only=True)(type("Mine", (A2C,), {"lr": 1e-3, "__module__": "mypkg"}))
    with pytest.raises(InputError, match=r"^algo=mine: mypkg\.Mine: lr = 0\.001 changes .* lr: float"):
        mine()


def test_an_algorithm_that_only_has_other_defaults_is_fine():
    mine = dataclass(kw_only=True)(type("Mine", (A2C,), {"__annotations__": {"lr": float}, "lr": 1e-3}))
    config = mine(hidden=8)
    assert (config.lr, config.hidden) == (1e-3, 8)
    assert replace(config, lr=0.1).lr == 0.1


@option("algo", "cautious")
@dataclass(kw_only=True)
class Cautious(OnPolicy):
    """A2C that keeps near the policy that acted."""

    caution: float = 0.1

    def reuse(self):
        return 2, 2

    def loss(self, batch, progress):
        log_policy = batch.logits.log_softmax(-1)
        old = batch.old_logits.log_softmax(-1)
        kl = (old.exp() * (old - log_policy)).sum(-1).mean()
        chosen = log_policy.gather(-1, batch.actions[:, None])[:, 0]
        gain = (chosen * batch.advantages).mean()
        error = (batch.values - batch.value_targets).square().mean()
        return self.caution * kl - gain + 0.5 * error, {"kl": kl, "progress": progress, "value_loss": error}


def test_an_algorithm_is_light_to_send():
    assert len(pickle.dumps(Cautious(**SMALL_A2C))) < 1000


@pytest.mark.usefixtures("ray")
def test_an_own_loss_learns_and_its_figures_are_in_the_history(tmp_path):
    result = run(Cautious(env_steps=120_000, **SMALL_A2C | {"lr": 5e-3}), tmp_path)
    best, random = best_cost(), random_cost()
    assert cost_of_policy(result.checkpoint) < best + 0.1 * (random - best)
    first, last = result.history[0], result.history[-1]
    assert first["kl"] >= 0.0
    assert first["progress"] == 0.0
    assert 0.9 < last["progress"] < 1.0
    assert '"algorithm": "cautious"' in (result.checkpoint / "qexp.json").read_text()


@pytest.mark.usefixtures("ray")
def test_the_name_of_an_algorithm_is_what_it_is_called(tmp_path):
    config = A2C(env_steps=64 * LENGTH, **SMALL_A2C)
    for name, expected in [(None, "a2c"), ("mine", "mine")]:
        result = run(config, tmp_path / expected, name=name)
        assert f'"algorithm": "{expected}"' in (result.checkpoint / "qexp.json").read_text()


@pytest.mark.usefixtures("ray")
def test_other_defaults_of_an_algorithm_train_as_the_same_settings_do(tmp_path):
    settings = SMALL_A2C | {"lr": 1e-3}
    mine = dataclass(kw_only=True)(type("Mine", (A2C,), {"__annotations__": {"lr": float}, "lr": 1e-3}))
    small = {key: value for key, value in SMALL_A2C.items() if key != "lr"}
    results = [
        run(config, tmp_path / str(k))
        for k, config in enumerate([A2C(env_steps=2_000, **settings), mine(env_steps=2_000, **small)])
    ]
    first, second = (policy_weights(result.checkpoint) for result in results)
    assert all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.usefixtures("ray")
def test_an_algorithm_of_another_kind_brings_its_own_config_of_rllib(tmp_path):
    from qexp.algo.q_learning import DQNAlgorithm, DQNConfig

    class Counting(DQNAlgorithm):
        def training_step(self):
            (tmp_path / "stepped").touch()
            super().training_step()

    @dataclass(kw_only=True)
    class Mine(Training):
        rollout_length: int | None = 8
        num_envs: int = 32

        def rllib(self):
            config = DQNConfig(algo_class=Counting)
            config.num_steps_sampled_before_learning_starts = 500
            return config.reporting(min_sample_timesteps_per_iteration=1_000)

    keys = ("hidden", "prior", "lr", "reward_scale")
    result = run(Mine(env_steps=3_000, **{key: SMALL_DQN[key] for key in keys}), tmp_path)
    assert (tmp_path / "stepped").exists()
    assert np.isfinite(result.history[-1]["q_loss"])


PACKAGE = """
from dataclasses import dataclass
from qexp.algo import Batch, OnPolicy
from qexp.config.option import option

@option("algo", "plain")
@dataclass(kw_only=True)
class Plain(OnPolicy):
    '''The plain policy gradient.'''

    weight: float = 0.5

    def loss(self, batch: Batch, progress: float):
        chosen = batch.logits.log_softmax(-1).gather(-1, batch.actions[:, None])[:, 0]
        error = (batch.values - batch.value_targets).square().mean()
        return self.weight * error - (chosen * batch.advantages).mean(), {"value_loss": error}
"""


@pytest.mark.ray
@pytest.mark.parametrize("runners", [0, 2])
def test_an_algorithm_from_another_package_trains(runners, tmp_path):
    package = tmp_path / "mypkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "algo.py").write_text(PACKAGE)
    script = f"""
    import sys
    from pathlib import Path
    from mypkg.algo import Plain
    assert not {{"ray", "torch"}} & sys.modules.keys()
    from toys import best_cost, random_cost
    from training import SMALL_A2C, cost_of_policy, run
    settings = SMALL_A2C | {{"num_envs": 64 // {max(1, runners)}}}
    result = run(Plain(env_steps=120_000, num_env_runners={runners}, **settings), Path({str(tmp_path)!r}))
    best, random = best_cost(), random_cost()
    assert cost_of_policy(result.checkpoint) < best + 0.1 * (random - best)
    """
    here = Path(__file__).parent
    paths = [str(tmp_path), str(here.parents[1]), str(here), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr


def test_what_cannot_learn_is_refused_before_ray_is_there():
    script = """
    import sys
    from dataclasses import dataclass
    from qexp.algo import A2C
    from qexp.errors import InputError
    @dataclass(kw_only=True)
    class Mine(A2C):
        clip: float = 0.2
    try:
        Mine()
    except InputError as error:
        print(error, not {"ray", "torch"} & sys.modules.keys())
    """
    done = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("define loss(self, batch, progress) True\n")
