"""The policy bundle: a folder with weights (safetensors) and a description (JSON), and nothing executable.

Loading one reads no pickle, checks the weights' hash and recomputes golden outputs. The forward pass runs
on NumPy alone, the fastest way to make single decisions; `Policy.network` gives the same weights to Torch.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from qexp.errors import InputError
from qexp.policy.features import (
    LIMIT,
    LINEAR_SCALE,
    LOG_SCALE,
    NODE_FEATURES,
    TASK_FEATURES,
    placement_features,
)
from qexp.policy.forward import Weights, forward
from qexp.state import Bools, Floats, Ints, NodeState, TaskState

if TYPE_CHECKING:
    from qexp.policy.network import PlacementNetwork

FORMAT = "qexp-policy/1"
WEIGHTS_FILE = "policy.safetensors"
DESCRIPTION_FILE = "policy.json"
GOLDEN_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Policy:
    """A trained placement policy.

    Attributes:
        environment: Where it decides.
        weights: Parameters by their name in `PlacementNetwork`.
        description: Content of the bundle's JSON file.
    """

    environment: ClassVar[str] = "placement"

    weights: dict[str, np.ndarray]
    description: dict[str, Any]

    @property
    def algorithm(self) -> str:
        """Name of the algorithm that trained the policy: ``a2c`` or ``dqn``."""
        return str(self.description["algorithm"])

    def scores(self, task: np.ndarray, nodes: np.ndarray, mask: np.ndarray | None = None) -> Floats:
        """Score nodes; higher is better.

        Args:
            task: Task features, ``[..., task_features]``.
            nodes: Node features, ``[..., nodes, node_features]``.
            mask: Allowed nodes, ``[..., nodes]``, as the policy was trained with; None means all. What is
                not allowed is scored too, but counts nothing for the others.

        Returns:
            Logits (A2C) or action values up to a constant per decision (DQN), ``[..., nodes]``.
        """
        return forward(self.weights, self.description["architecture"], task, nodes, mask)

    def decide(self, task: np.ndarray, nodes: np.ndarray, mask: np.ndarray) -> Ints:
        """Choose a node for each of a batch of observations.

        Args:
            task: Task features, ``[batch, task_features]``.
            nodes: Node features, ``[batch, nodes, node_features]``.
            mask: Allowed nodes, ``[batch, nodes]``.

        Returns:
            Node indices, ``[batch]``.
        """
        mask = np.asarray(mask, dtype=bool)
        scores = np.where(mask, self.scores(task, nodes, mask), -np.inf)
        return np.asarray(scores.argmax(axis=-1), dtype=np.int64)

    def act(self, task: TaskState, nodes: NodeState) -> int:
        """Choose a node for one task: the best-scored one on which the circuit fits.

        Args:
            task: The task's state, unbatched.
            nodes: The nodes' states, unbatched.
        """
        features = placement_features(task, nodes)
        fits: Bools = task.mask & np.isfinite(task.service)
        return int(np.where(fits, self.scores(*features, task.mask), -np.inf).argmax())

    def network(self) -> PlacementNetwork:
        """Return the same policy as a Torch module (imports torch)."""
        import torch

        from qexp.policy.network import Architecture, PlacementNetwork

        network = PlacementNetwork(Architecture(**self.description["architecture"]))
        network.load_state_dict(
            {name: torch.from_numpy(value.copy()) for name, value in self.weights.items()}
        )
        return network.eval()


def save_policy(path: str | Path, weights: Weights, metadata: Mapping[str, Any]) -> Path:
    """Write a bundle, whole or not at all.

    Args:
        path: Folder to create; an existing bundle there is replaced.
        weights: Parameters by their name in `PlacementNetwork`.
        metadata: At least ``algorithm`` and ``architecture``; everything in it is stored.

    Returns:
        The folder.

    Raises:
        InputError: Weights and architecture do not make a network that scores nodes, or something else is
            in the way.
    """
    path = Path(path)
    weights = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in weights.items()}
    payload = save_tensors(weights)
    try:
        golden = forward(weights, metadata["architecture"], *_golden_input())
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not saved: the weights do not fit the network: {error!r}") from error
    if not np.isfinite(golden).all():
        raise InputError(f"{path}: not saved: the policy's scores are not finite, its training diverged")
    description = {
        "format": FORMAT,
        **metadata,
        "features": _features(),
        "weights_sha256": hashlib.sha256(payload).hexdigest(),
        "golden": golden.tolist(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        (folder / WEIGHTS_FILE).write_bytes(payload)
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
        if path.exists():
            if not (path / DESCRIPTION_FILE).is_file():
                raise InputError(f"{path}: exists and is not a policy bundle; it is left alone")
            shutil.rmtree(path)
        folder.replace(path)
    return path


def load_policy(path: str | Path) -> Policy:
    """Load a bundle.

    Args:
        path: The bundle's folder, or a run folder that holds one as ``policy/``.

    Raises:
        InputError: There is no bundle, it is damaged, or it was made for other features.
    """
    folder = Path(path)
    if (folder / "policy" / DESCRIPTION_FILE).is_file():
        folder = folder / "policy"
    try:
        description = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        payload = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise InputError(f"scheduler.path: no policy bundle at {folder}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"scheduler.path: {folder / DESCRIPTION_FILE} is not valid JSON: {error}") from error
    if (
        not isinstance(description, dict)
        or description.get("format") != FORMAT
        or not isinstance(description.get("algorithm"), str)
    ):
        raise InputError(f"scheduler.path: {folder} is not a {FORMAT} bundle")
    if hashlib.sha256(payload).hexdigest() != description.get("weights_sha256"):
        raise InputError(
            f"scheduler.path: {folder / WEIGHTS_FILE} does not match the hash in {DESCRIPTION_FILE}"
        )
    if description.get("features") != _features():
        raise InputError(
            f"scheduler.path: {folder} was made for other features than this version of qexp computes"
        )
    try:
        policy = Policy(load_tensors(payload), description)
        golden = description["golden"]
        drift = np.abs(policy.scores(*_golden_input()) - np.asarray(golden)).max()
    except (SafetensorError, LookupError, ValueError, TypeError) as error:
        raise InputError(
            f"scheduler.path: {folder} does not hold the weights it describes: {error!r}"
        ) from error
    if not drift <= GOLDEN_TOLERANCE:
        raise InputError(
            f"scheduler.path: {folder} computes other scores than when it was saved (off by {drift:.2g})"
        )
    return policy


def _features() -> dict[str, Any]:
    return {
        "task": list(TASK_FEATURES),
        "nodes": list(NODE_FEATURES),
        "scales": {"linear": LINEAR_SCALE, "log": LOG_SCALE, "limit": LIMIT},
    }


def _golden_input() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    task = rng.normal(size=(4, len(TASK_FEATURES))).astype(np.float32)
    return task, rng.normal(size=(4, 6, len(NODE_FEATURES))).astype(np.float32)
