"""Checkpoints that are either whole or not there: written aside, flushed to disk, then renamed.

RLlib saves weights, optimiser and counters. Beside its files go the episodes under way, the replay memory,
everything that draws random numbers, and the history, so that a resumed run ends as if it had never stopped:
arrays in ``.npz``, the rest in JSON, so that reading them runs no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qexp.algo.replay import Replay
from qexp.problem.extract import DESCRIPTION_FILE

PROGRESS_FILE = "progress.json"
SUMS_FILE = "sha256.json"
EPISODES, MEMORY, RANDOM = "episodes", "memory", "random"
"""Stems of the files with what RLlib does not save."""
ARRAY = "array"  # in JSON, {"array": PATH} stands for an array of the .npz file
KEPT = 3
"""How many checkpoints of a run stay."""


@dataclass
class Progress:
    """How far a training run is."""

    env_steps: int = 0  # decisions made
    seconds: float = 0.0  # wall-clock time of the iterations
    history: list[dict[str, float]] = field(default_factory=list)  # one mapping per iteration

    @classmethod
    def of(cls, checkpoint: Path) -> Progress:
        """Read how far training was at a checkpoint."""
        return cls(**json.loads((checkpoint / PROGRESS_FILE).read_text(encoding="utf-8")))


def save_checkpoint(
    algorithm: Any,
    folder: Path,
    iteration: int,
    metadata: Mapping[str, Any],
    save_state: Callable[[Path], None] = lambda _: None,
) -> Path:
    """Write an algorithm's checkpoint, drop all but the newest few, and return the checkpoint's folder.

    The folder ``iteration_<number>`` holds what RLlib's ``restore_from_path`` reads, ``qexp.json`` with what
    is needed to turn the weights into a policy bundle without Ray, and the files' check sums.

    Args:
        algorithm: RLlib algorithm.
        folder: Where checkpoints go; created when missing.
        iteration: Training iterations so far.
        metadata: Content of ``qexp.json``.
        save_state: Writes further files into the folder it is given, see `save_state`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"iteration_{iteration:06d}"
    aside = folder / f".{final.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    algorithm.save_to_path(str(aside.resolve()))
    (aside / DESCRIPTION_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    save_state(aside)
    sums = {path.relative_to(aside).as_posix(): _sum(path) for path in aside.rglob("*") if path.is_file()}
    (aside / SUMS_FILE).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
    for path in [*aside.rglob("*"), aside]:
        _flush(path)
    if final.exists():
        shutil.rmtree(final)
    aside.rename(final)
    _flush(folder)
    for old in sorted(folder.glob("iteration_*"))[:-KEPT]:
        shutil.rmtree(old)
    return final


def newest_checkpoint(folder: Path) -> tuple[Path | None, list[Path]]:
    """Return the newest checkpoint whose files are as they were written, or None, and newer damaged ones."""
    damaged: list[Path] = []
    for checkpoint in sorted(folder.glob("iteration_*"), reverse=True):
        if _is_whole(checkpoint):
            return checkpoint, damaged
        damaged.append(checkpoint)
    return None, damaged


def drop_memories(folder: Path) -> None:
    """Delete the replay memories in checkpoints: large, and of no use once training is over."""
    for path in folder.glob(f"iteration_*/{MEMORY}.*"):
        path.unlink()


def save_state(algorithm: Any, progress: Progress, checkpoint: Path, *, memory: bool) -> None:
    """Write what RLlib does not save.

    Args:
        algorithm: RLlib algorithm with lockstep environment runners.
        progress: How far its training is.
        checkpoint: Folder to write to.
        memory: Whether to write the replay memory, which is large.
    """
    (checkpoint / PROGRESS_FILE).write_text(json.dumps(asdict(progress)), encoding="utf-8")
    write_tree(checkpoint, EPISODES, dict(_of_runners(algorithm, _open_episodes)))
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
    _of_runners(algorithm, partial(_reopen_episodes, read_tree(checkpoint, EPISODES)))
    if isinstance(algorithm.local_replay_buffer, Replay):
        algorithm.local_replay_buffer.set_state(read_tree(checkpoint, MEMORY))
    # Last: building and restoring an algorithm draw random numbers too.
    _set_random_state(read_tree(checkpoint, RANDOM))


def write_tree(folder: Path, name: str, tree: Mapping[str, Any]) -> None:
    """Write nested mappings of arrays and JSON values as ``<name>.npz`` and ``<name>.json``.

    Args:
        folder: Where to; it exists.
        name: Of both files, without suffix.
        tree: Keys are strings.
    """
    arrays: dict[str, Any] = {}

    def described(node: Any, path: str) -> Any:
        if isinstance(node, np.ndarray):
            arrays[path] = node
            return {ARRAY: path}
        if isinstance(node, Mapping):
            return {key: described(value, f"{path}/{key}") for key, value in node.items()}
        return node

    (folder / f"{name}.json").write_text(json.dumps(described(tree, name)), encoding="utf-8")
    # Not compressed: that takes a hundred times as long as writing.
    np.savez(folder / f"{name}.npz", **arrays)


def read_tree(folder: Path, name: str) -> dict[str, Any]:
    """Read what `write_tree` wrote.

    Args:
        folder: Where the files are.
        name: Of both files, without suffix.
    """
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:

        def whole(node: Any) -> Any:
            if not isinstance(node, dict):
                return node
            if node.keys() == {ARRAY}:
                return arrays[node[ARRAY]]
            return {key: whole(value) for key, value in node.items()}

        tree: dict[str, Any] = whole(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    return tree


def _of_runners(algorithm: Any, ask: Callable[[Any], Any]) -> list[Any]:
    """Return what every environment runner that samples answers."""
    group = algorithm.env_runner_group
    if group.num_remote_env_runners() == 0:
        return [ask(group.local_env_runner)]
    answers: list[Any] = group.foreach_env_runner(ask, local_env_runner=False)
    return answers


def _open_episodes(runner: Any) -> tuple[str, dict[str, Any]]:
    return str(runner.worker_index or 0), runner.open_episodes()


def _reopen_episodes(episodes: Mapping[str, Any], runner: Any) -> None:
    # A runner that the checkpoint does not know begins new episodes.
    if (state := episodes.get(str(runner.worker_index or 0))) is not None:
        runner.reopen_episodes(state)


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


def _is_whole(checkpoint: Path) -> bool:
    try:
        sums = json.loads((checkpoint / SUMS_FILE).read_text(encoding="utf-8"))
        return all(_sum(checkpoint / name) == known for name, known in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
