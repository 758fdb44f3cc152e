"""What a training run must remember beyond RLlib's own state, to go on as if it had never stopped.

RLlib checkpoints weights, optimiser and counters. Beside its files go the episodes under way, the replay
memory, everything that draws random numbers, and the history: arrays in ``.npz``, the rest in JSON, so that
reading them runs no code.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qexp.algo.checkpoint import MEMORY, PROGRESS_FILE
from qexp.algo.replay import Replay

EPISODES = "episodes"
RANDOM = "random"
ARRAY = "array"  # in JSON, {"array": PATH} stands for an array of the .npz file


@dataclass
class Progress:
    """How far a training run is.

    Attributes:
        env_steps: Decisions made.
        seconds: Wall-clock time of the iterations so far.
        history: One mapping per iteration.
    """

    env_steps: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def of(cls, checkpoint: Path) -> Progress:
        """Read how far training was at a checkpoint."""
        return cls(**json.loads((checkpoint / PROGRESS_FILE).read_text(encoding="utf-8")))


def save_state(algorithm: Any, progress: Progress, checkpoint: Path, *, memory: bool) -> None:
    """Write what RLlib does not save.

    Args:
        algorithm: RLlib algorithm with lockstep environment runners.
        progress: How far its training is.
        checkpoint: Folder to write to.
        memory: Whether to write the replay memory, which is large.
    """
    (checkpoint / PROGRESS_FILE).write_text(json.dumps(asdict(progress)), encoding="utf-8")
    group = algorithm.env_runner_group
    if group.num_remote_env_runners() == 0:
        episodes = {"0": group.local_env_runner.open_episodes()}
    else:
        episodes = dict(
            group.foreach_env_runner(
                lambda runner: (str(runner.worker_index), runner.open_episodes()), local_env_runner=False
            )
        )
    write_tree(checkpoint, EPISODES, episodes)
    if memory and isinstance(algorithm.local_replay_buffer, Replay):
        write_tree(checkpoint, MEMORY, algorithm.local_replay_buffer.get_state())
    write_tree(checkpoint, RANDOM, _random_state())


def restore_state(algorithm: Any, checkpoint: Path) -> None:
    """Take over what `save_state` wrote, and RLlib's part of the checkpoint.

    Args:
        algorithm: Algorithm of the same config, just built.
        checkpoint: A checkpoint's folder.
    """
    algorithm.restore_from_path(str(checkpoint.resolve()))
    episodes = read_tree(checkpoint, EPISODES)
    group = algorithm.env_runner_group
    if group.num_remote_env_runners() == 0:
        group.local_env_runner.reopen_episodes(episodes["0"])
    else:
        group.foreach_env_runner(
            # A runner that the checkpoint does not know begins new episodes.
            lambda runner: (
                runner.reopen_episodes(episodes[str(runner.worker_index)])
                if str(runner.worker_index) in episodes
                else None
            ),
            local_env_runner=False,
        )
    if isinstance(algorithm.local_replay_buffer, Replay):
        algorithm.local_replay_buffer.set_state(read_tree(checkpoint, MEMORY))
    # Last: building and restoring an algorithm draw random numbers too.
    _set_random_state(read_tree(checkpoint, RANDOM))


def write_tree(folder: Path, name: str, tree: Mapping[str, Any]) -> None:
    """Write nested mappings of arrays and JSON values as ``<name>.npz`` and ``<name>.json``."""
    arrays: dict[str, Any] = {}

    def described(node: Any, path: str) -> Any:
        if isinstance(node, np.ndarray):
            arrays[path] = node
            return {ARRAY: path}
        if isinstance(node, Mapping):
            return {
                key: described(value, f"{path}/{key}" if path else str(key)) for key, value in node.items()
            }
        return node

    (folder / f"{name}.json").write_text(json.dumps(described(tree, name)), encoding="utf-8")
    # Not compressed: that takes a hundred times as long as writing.
    np.savez(folder / f"{name}.npz", **arrays)


def read_tree(folder: Path, name: str) -> dict[str, Any]:
    """Read what `write_tree` wrote."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:

        def whole(node: Any) -> Any:
            if not isinstance(node, dict):
                return node
            if node.keys() == {ARRAY}:
                return arrays[node[ARRAY]]
            return {key: whole(value) for key, value in node.items()}

        tree: dict[str, Any] = whole(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    return tree


def _random_state() -> dict[str, Any]:
    """Return the state of the process-wide generators: noisy layers and RLlib draw from them."""
    import torch

    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 -- whatever others draw from it
        "torch": torch.get_rng_state().numpy(),
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    import torch

    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(state["numpy"])  # noqa: NPY002 -- as above
    torch.set_rng_state(torch.from_numpy(state["torch"]))
