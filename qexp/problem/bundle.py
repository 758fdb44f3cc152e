"""The policy bundle: a folder with weights (safetensors) and a description (JSON), and nothing executable.

Loading one reads no pickle, checks the weights' hash and recomputes golden outputs. The forward pass runs
on NumPy alone, the fastest way to make single decisions; `Policy.network` gives the same weights to Torch.
What differs between environments is the policy's class.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from qexp.errors import InputError
from qexp.problem.forward import Weights, forward
from qexp.problem.policy import POLICIES, Policy

FORMAT = "qexp-policy/1"
WEIGHTS_FILE = "policy.safetensors"
DESCRIPTION_FILE = "policy.json"
GOLDEN_TOLERANCE = 1e-4
BEFORE_SEVERAL = "placement"
"""The environment of bundles that do not name theirs: there was one."""


def save_policy(path: str | Path, weights: Weights, metadata: Mapping[str, Any]) -> Path:
    """Write a bundle, whole or not at all, and return its folder.

    Args:
        path: Folder to create; an existing bundle there is replaced.
        weights: Parameters by their name in `ScorerNetwork`.
        metadata: At least ``algorithm`` and ``architecture``, and ``environment`` if it is not ``placement``;
            everything in it is stored.

    Raises:
        InputError: Weights and architecture do not make a network that scores nodes, or something else is
            in the way.
    """
    path = Path(path)
    weights = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in weights.items()}
    payload = save_tensors(weights)
    kind = _class_of(path, metadata)
    try:
        golden = forward(weights, metadata["architecture"], *_golden_input(kind))
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not saved: the weights do not fit the network: {error!r}") from error
    if not np.isfinite(golden).all():
        raise InputError(f"{path}: not saved: the policy's scores are not finite, its training diverged")
    description = {
        "format": FORMAT,
        "environment": kind.environment,
        **metadata,
        "features": kind.features,
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
    at = f"scheduler.path: {folder}"
    try:
        description = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        payload = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        missing = f"{Path(error.filename).name}: {error.strerror}"
        raise InputError(f"scheduler.path: no policy bundle at {folder}: {missing}") from error
    except ValueError as error:
        raise InputError(f"{at}/{DESCRIPTION_FILE} is not valid JSON: {error}") from error
    known = isinstance(description, dict) and description.get("format") == FORMAT
    if not known or not isinstance(description.get("algorithm"), str):
        raise InputError(f"{at} is not a {FORMAT} bundle")
    if hashlib.sha256(payload).hexdigest() != description.get("weights_sha256"):
        raise InputError(f"{at}/{WEIGHTS_FILE} does not match the hash in {DESCRIPTION_FILE}")
    kind = _class_of(folder, description)
    if description.get("features") != kind.features:
        raise InputError(f"{at} was made for other features than this version of qexp computes")
    try:
        policy = kind(load_tensors(payload), description)
        drift = np.abs(policy.scores(*_golden_input(kind)) - np.asarray(description["golden"])).max()
    except (SafetensorError, LookupError, ValueError, TypeError) as error:
        raise InputError(f"{at} does not hold the weights it describes: {error!r}") from error
    if not drift <= GOLDEN_TOLERANCE:
        raise InputError(f"{at} computes other scores than when it was saved (off by {drift:.2g})")
    return policy


def _class_of(path: Path, description: Mapping[str, Any]) -> type[Policy]:
    """Return the class of a policy; bundles written before there were several do not name it."""
    environment = str(description.get("environment", BEFORE_SEVERAL))
    if environment not in POLICIES:
        # Each room's module `policy` has the class of its policies.
        for file in sorted(Path(__file__).parents[1].glob("*/policy.py")):
            importlib.import_module(f"qexp.{file.parent.name}.policy")
    if environment not in POLICIES:
        raise InputError(
            f"scheduler.path: {path} is for env={environment}, which is not known here: "
            "import the module that has its class of policies first"
        )
    return POLICIES[environment]


def _golden_input(kind: type[Policy]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    task = rng.normal(size=(4, len(kind.features["task"]))).astype(np.float32)
    return task, rng.normal(size=(4, 6, len(kind.features["nodes"]))).astype(np.float32)
