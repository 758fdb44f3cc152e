"""Training that was stopped and resumed: the same weights and the same history as in one go."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from toys import DelayedCosts
from training import SMALL_A2C, SMALL_DQN, policy_weights
from training import run as run_with

from qexp.algo import A2C, DQN, PPO
from qexp.algo.checkpoint import drop_memories, newest_checkpoint
from qexp.gates.gate_scheduling import GateScheduling
from qexp.placement.random_fleets import RandomFleetVectorEnv
from qexp.placement.vector_env import PlacementVectorEnv

BATCH = 25 * 16
ON_A2C = {**SMALL_A2C, "num_envs": 16, "rollout_length": 25}
# A memory of 2,048 steps comes round twice; ticks and episodes end apart, so that episodes are open.
ON_DQN = {
    **SMALL_DQN,
    "num_envs": 16,
    "buffer_size": 2048,
    "learning_starts": 500,
    "batch_size": 64,
    "replay_ratio": 1.3,
    "target_update": 700,
    "steps_per_iteration": 600,
    "n_step": 3,
}
CONFIGS = {
    "a2c": A2C(env_steps=8 * BATCH, checkpoint_every=3, **ON_A2C),
    "ppo": PPO(env_steps=8 * BATCH, checkpoint_every=3, **ON_A2C),
    "a2c-random-fleets": A2C(env_steps=8 * BATCH, checkpoint_every=3, fleet_randomisation=True, **ON_A2C),
    "dqn": DQN(env_steps=8 * 600, checkpoint_every=3, **ON_DQN),
    "dqn-noisy-distributional": DQN(
        env_steps=8 * 600, checkpoint_every=3, distributional=True, noisy=True, **ON_DQN
    ),
    "dqn-before-it-learns": DQN(
        env_steps=8 * 600, checkpoint_every=3, **ON_DQN | {"learning_starts": 2000, "prioritized": False}
    ),
    "a2c-gates": A2C(env_steps=8 * 280, checkpoint_every=3, **ON_A2C | {"rollout_length": None}),
    "dqn-gates": DQN(env_steps=8 * 600, checkpoint_every=3, **ON_DQN),
}


class StopError(Exception):
    """What ends a run in the middle."""


def stop_at(iteration):
    def on_iteration(row):
        if row["iteration"] == iteration:
            raise StopError

    return on_iteration


def without_clock(history):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_resumed_training_ends_as_one_that_was_never_stopped(name, qce25, tmp_path):
    config = CONFIGS[name]

    def make(num_envs):
        if name.endswith("gates"):
            return gates.make_vector_env(num_envs)
        if config.fleet_randomisation:
            return RandomFleetVectorEnv(qce25, num_envs, 0, count=20)
        return PlacementVectorEnv(qce25, num_envs)

    gates = GateScheduling()
    run = partial(run_with, decisions=gates.decisions)
    whole = run(config, tmp_path / "whole", make=make)
    folder = tmp_path / "parts"
    # Stopped with the 5th iteration: that, and the 4th, are lost; and once more after the 6th.
    with pytest.raises(StopError):
        run(config, folder, make=make, on_iteration=stop_at(5))
    for last, next_stop in [(3, 7), (6, None)]:
        checkpoint, damaged = newest_checkpoint(folder / "checkpoints")
        assert (checkpoint.name, damaged) == (f"iteration_{last:06d}", [])
        rows = []

        def on_iteration(row, rows=rows, next_stop=next_stop):
            rows.append(row)
            if row["iteration"] == next_stop:
                raise StopError

        np.random.seed(99)  # noqa: NPY002 -- the process-wide generators are elsewhere in a new process
        if next_stop:
            with pytest.raises(StopError):
                run(config, folder, make=make, on_iteration=on_iteration, resume_from=checkpoint)
        else:
            result = run(config, folder, make=make, on_iteration=on_iteration, resume_from=checkpoint)
        assert rows[0]["iteration"] == last + 1
    assert without_clock(result.history) == without_clock(whole.history)
    seconds = [row["seconds"] for row in result.history]
    assert seconds == sorted(seconds)
    first, second = policy_weights(whole.checkpoint), policy_weights(result.checkpoint)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.usefixtures("ray")
def test_a_complete_training_is_taken_as_it_is(tmp_path):
    config = A2C(env_steps=3 * 64 * 8, checkpoint_every=2, **SMALL_A2C)
    whole = run_with(config, tmp_path)
    before = whole.checkpoint.stat()

    def make(num_envs):
        raise AssertionError("nothing is left to train")

    again = run_with(config, tmp_path, make=make, resume_from=whole.checkpoint)
    assert again == whole
    assert whole.checkpoint.stat() == before


@pytest.mark.usefixtures("ray")
def test_a_replay_memory_is_kept_only_while_it_is_needed(tmp_path):
    config = DQN(env_steps=4 * 2_000, checkpoint_every=1, **SMALL_DQN)
    result = run_with(config, tmp_path)
    folder = result.checkpoint.parent
    kept = sorted(path.parent.name for path in folder.rglob("memory.npz"))
    assert kept == ["iteration_000002", "iteration_000003"]  # the last one has nothing left to learn
    drop_memories(folder)
    assert not list(folder.rglob("memory.*"))
    assert len(list(folder.glob("iteration_*"))) == 3


@pytest.mark.usefixtures("ray")
def test_environments_that_cannot_be_taken_up_again_begin_new_episodes(tmp_path):
    """`DelayedCosts` has no state to save: training goes on, and not with the episodes it began with."""

    class Watched(DelayedCosts):
        def reset(self, *, seed=None, options=None):
            (tmp_path / f"seed-{seed}").touch()  # the registry of environments copies lists
            return super().reset(seed=seed, options=options)

    config = A2C(env_steps=5 * 64 * 8, checkpoint_every=2, **SMALL_A2C)
    with pytest.raises(StopError):
        run_with(config, tmp_path, make=Watched, on_iteration=stop_at(3))
    checkpoint, _ = newest_checkpoint(tmp_path / "checkpoints")
    result = run_with(config, tmp_path, make=Watched, resume_from=checkpoint)
    assert [row["iteration"] for row in result.history] == [1, 2, 3, 4, 5]
    assert len(list(tmp_path.glob("seed-*"))) == 2


def whole_checkpoint(folder: Path, name: str) -> Path:
    from qexp.algo.checkpoint import save_checkpoint

    class Algorithm:
        def save_to_path(self, path):
            (Path(path) / "learner").mkdir()
            (Path(path) / "learner" / "weights").write_bytes(b"weights")

    return save_checkpoint(Algorithm(), folder, int(name), {})


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "no sums", "empty", "nonsense"])
def test_a_damaged_checkpoint_is_passed_over(damage, tmp_path):
    older, newer = (whole_checkpoint(tmp_path, name) for name in ("9", "10"))
    assert newest_checkpoint(tmp_path) == (newer, [])
    weights, sums = newer / "learner" / "weights", newer / "sha256.json"
    if damage == "cut":
        weights.write_bytes(b"weig")
    elif damage == "changed":
        weights.write_bytes(b"weighty")
    elif damage == "missing":
        weights.unlink()
    elif damage == "no sums":
        sums.unlink()
    elif damage == "empty":
        shutil.rmtree(newer)
        newer.mkdir()
    else:
        sums.write_text("[]")
    assert newest_checkpoint(tmp_path) == (older, [newer])
    shutil.rmtree(older)
    assert newest_checkpoint(tmp_path) == (None, [newer])


def test_without_checkpoints_there_is_none_to_go_on_from(tmp_path):
    assert newest_checkpoint(tmp_path / "nowhere") == (None, [])


def test_arrays_and_numbers_come_back_as_they_were(tmp_path):
    from qexp.algo.checkpoint import read_tree, write_tree

    tree = {
        "rng": np.random.default_rng(7).bit_generator.state,  # integers of 128 bits
        "third": 1 / 3,
        "none": None,
        "list": [1, "two"],
        "nested": {"file": np.arange(6, dtype=np.int8).reshape(2, 3), "empty": np.zeros((0, 4), np.float32)},
        "flags": np.array([True, False]),
    }
    write_tree(tmp_path, "tree", tree)
    back = read_tree(tmp_path, "tree")
    for part in (tree, back):
        part |= {f"nested/{key}": value for key, value in part.pop("nested").items()}
    assert back.keys() == tree.keys()
    for key, value in tree.items():
        assert type(back[key]) is type(value)
        np.testing.assert_equal(back[key], value)
        if isinstance(value, np.ndarray):
            assert back[key].dtype == value.dtype
