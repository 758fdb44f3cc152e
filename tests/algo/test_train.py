"""Whole training runs, on a toy whose best policy is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import LENGTH, DelayedCosts, best_cost, random_cost
from training import SMALL_A2C, SMALL_DQN, cost_of_policy, policy_weights, run

from qexp.algo import A2C, DQN, PPO
from qexp.problem.network import Architecture, ScorerNetwork


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(
    ("config", "margin"),
    [
        (A2C(env_steps=120_000, **SMALL_A2C), 0.1),
        (PPO(env_steps=60_000, **SMALL_A2C | {"lr": 4e-3}), 0.1),
        (DQN(env_steps=60_000, **SMALL_DQN), 0.1),
        (DQN(env_steps=60_000, **SMALL_DQN | {"double": False, "dueling": False, "prioritized": False}), 0.1),
    ],
    ids=["a2c", "ppo", "dqn", "plain-dqn"],
)
def test_learns_to_pick_the_cheapest_node(config, margin, tmp_path):
    result = run(config, tmp_path)
    best, random = best_cost(), random_cost()
    assert cost_of_policy(result.checkpoint) < best + margin * (random - best)
    first, last = result.history[0], result.history[-1]
    assert last["episode_total_completion_time_mean"] < first["episode_total_completion_time_mean"]


@pytest.mark.usefixtures("ray")
def test_a_run_reports_every_iteration_and_ends_at_its_budget(tmp_path):
    rows = []
    batch = 64 * LENGTH
    result = run(A2C(env_steps=5 * batch, **SMALL_A2C), tmp_path, on_iteration=rows.append)
    assert result.history == rows
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["env_steps"] for row in rows] == [batch * k for k in (1, 2, 3, 4, 5)]
    assert result.env_steps == 5 * batch
    assert result.env_steps_per_second == pytest.approx(result.env_steps / result.seconds)
    # Learning rate and entropy coefficient fall linearly with the steps done before the iteration.
    assert [row["lr"] for row in rows] == pytest.approx([1e-2 * share for share in (1, 0.8, 0.6, 0.4, 0.2)])
    start = A2C().entropy
    assert [row["entropy_coefficient"] for row in rows] == pytest.approx(
        [start * share for share in (1, 0.8, 0.6, 0.4, 0.2)]
    )
    keys = {"episode_return_mean", "episode_total_completion_time_mean", "loss", "policy_loss", "value_loss"}
    assert keys | {"entropy", "grad_norm", "seconds"} <= set(rows[0])
    # The environment's bill is the return with the other sign.
    assert rows[0]["episode_return_mean"] == pytest.approx(-rows[0]["episode_total_completion_time_mean"])


@pytest.mark.usefixtures("ray")
def test_a_run_ends_at_its_time_limit(tmp_path):
    result = run(A2C(env_steps=None, seconds=1.0, **SMALL_A2C), tmp_path)
    assert 1.0 <= result.seconds < 3.0


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(
    "config",
    [
        A2C(env_steps=5_000, **SMALL_A2C),
        PPO(env_steps=5_000, **SMALL_A2C),
        DQN(env_steps=6_000, **SMALL_DQN),
    ],
    ids=["a2c", "ppo", "dqn"],
)
def test_the_same_seed_gives_the_same_weights(config, tmp_path):
    runs = [run(config, tmp_path / name, seed=seed) for name, seed in [("a", 1), ("b", 1), ("c", 2)]]
    first, again, other = (policy_weights(result.checkpoint) for result in runs)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert any(not np.array_equal(first[key], other[key]) for key in first)


@pytest.mark.usefixtures("ray")
def test_checkpoints_come_whole_and_only_the_newest_stay(tmp_path):
    config = A2C(env_steps=64 * LENGTH * 9, checkpoint_every=2, **SMALL_A2C)
    result = run(config, tmp_path)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["iteration_000006", "iteration_000008", "iteration_000009"]
    assert result.checkpoint == tmp_path / "checkpoints" / "iteration_000009"
    metadata = json.loads((result.checkpoint / "qexp.json").read_text())
    assert metadata["fleet"] == "toy"
    assert metadata["algorithm"] == "a2c"
    shapes = {key: value.shape for key, value in policy_weights(result.checkpoint).items()}
    network = ScorerNetwork(Architecture(**metadata["architecture"]))
    assert shapes == {f"network.{key}": tuple(value.shape) for key, value in network.state_dict().items()}


@pytest.mark.usefixtures("ray")
def test_a_crash_while_writing_leaves_the_last_checkpoint_alone(tmp_path):
    from qexp.algo.checkpoint import save_checkpoint

    class Algorithm:
        def save_to_path(self, path):
            (tmp_path / path / "weights").write_text("half")
            raise OSError("disk full")

    whole = tmp_path / "iteration_000001"
    whole.mkdir()
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(Algorithm(), tmp_path, 1, {})
    assert list(tmp_path.glob("iteration_*")) == [whole]
    assert list(whole.iterdir()) == []


@pytest.mark.usefixtures("ray")
def test_rllib_restores_a_checkpoint(tmp_path):
    from qexp.algo.train import rllib_config

    config = A2C(env_steps=64 * LENGTH * 3, **SMALL_A2C)
    result = run(config, tmp_path)
    weights = policy_weights(result.checkpoint)
    architecture = Architecture(**json.loads((result.checkpoint / "qexp.json").read_text())["architecture"])
    algorithm = rllib_config(config, architecture, DelayedCosts, seed=5).build_algo()
    try:
        algorithm.restore_from_path(str(result.checkpoint))
        learner = algorithm.learner_group.get_state()["learner"]
        for module in (learner["rl_module"]["default_policy"], algorithm.env_runner.module.get_state()):
            assert all(np.array_equal(module[key], weights[key]) for key in weights)
        (optimizer,) = learner["optimizer"].values()
        assert {float(entry["step"]) for entry in optimizer["state"]["state"].values()} == {3.0}
        row = algorithm.train()
        assert row["env_runners"]["num_env_steps_sampled_lifetime"] == 64 * LENGTH * 4
    finally:
        algorithm.stop()


@pytest.mark.usefixtures("ray")
def test_an_interrupt_ends_the_run_and_is_passed_on(tmp_path):
    class Watched(DelayedCosts):
        def close(self, **_):
            (tmp_path / f"closed-{self.num_envs}").touch()

    def interrupt(row):
        raise KeyboardInterrupt

    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        run(A2C(env_steps=10**9, **SMALL_A2C), tmp_path, on_iteration=interrupt, make=Watched)
    assert (tmp_path / "closed-64").exists()
    assert torch.get_num_threads() == threads


@pytest.mark.ray
@pytest.mark.parametrize(
    ("end", "status"),
    [("raise SystemExit(3)", 3), ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", 143)],
)
def test_however_a_run_ends_its_ray_ends_with_it_in_silence(end, status):
    script = f"""
import atexit, os, signal, tempfile, time
from pathlib import Path
import ray
from qexp.algo.session import ray_session
def folders():
    return set(Path(tempfile.gettempdir()).glob("qexp-ray-*"))
before = folders()
atexit.register(lambda: print(ray.is_initialized(), mine & folders()))
with ray_session():
    assert ray.is_initialized()
    mine = {{Path(ray._private.worker._global_node.get_temp_dir_path())}}
    assert mine <= folders() - before
    {end}
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "False set()\n"
    assert done.returncode == status


@pytest.mark.ray
@pytest.mark.parametrize("kind", ["a2c", "dqn"])
def test_remote_runners_feed_the_same_learner(kind, tmp_path):
    """Two remote runners instead of one local one; a Ray of its own, as it needs more processors."""
    script = f"""
from pathlib import Path
from toys import best_cost, random_cost
from training import SMALL_A2C, SMALL_DQN, cost_of_policy, run
from qexp.algo import A2C, DQN
config = (
    A2C(env_steps=120_000, num_env_runners=2, **SMALL_A2C | {{"num_envs": 32}})
    if {kind!r} == "a2c"
    else DQN(env_steps=60_000, num_env_runners=2, **SMALL_DQN | {{"num_envs": 16}})
)
result = run(config, Path({str(tmp_path)!r}))
best, random = best_cost(), random_cost()
assert cost_of_policy(result.checkpoint) < best + 0.1 * (random - best)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("ray")
def test_the_replay_ratio_is_kept_exactly(tmp_path):
    from qexp.algo.train import rllib_config

    # 1.4 updates per rollout: rounded each time, they would be one.
    settings = {"learning_starts": 0, "replay_ratio": 1.6, "steps_per_iteration": 900}
    config = DQN(env_steps=5_000, **SMALL_DQN | settings)
    result = run(config, tmp_path)
    architecture = Architecture(**json.loads((result.checkpoint / "qexp.json").read_text())["architecture"])
    algorithm = rllib_config(config, architecture, DelayedCosts, seed=0).build_algo()
    try:
        algorithm.restore_from_path(str(result.checkpoint))
        (optimizer,) = algorithm.learner_group.get_state()["learner"]["optimizer"].values()
        updates = {float(entry["step"]) for entry in optimizer["state"]["state"].values()}
    finally:
        algorithm.stop()
    assert updates == {result.env_steps * 1.6 // config.batch_size}
