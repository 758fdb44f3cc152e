"""Turns an RLlib checkpoint folder into a policy bundle, without Ray and without any environment.

``qexp extract CHECKPOINT OUT``
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qexp.errors import InputError, answered
from qexp.problem.bundle import save_policy
from qexp.problem.forward import SPREAD

DESCRIPTION_FILE = "qexp.json"  # written beside RLlib's own files at every checkpoint
MODULE_STATE = Path("learner_group", "learner", "rl_module", "default_policy", "module_state.pkl")
PREFIX = "network."  # the module's attribute that holds the network

_ALLOWED = {
    *(("numpy", name) for name in ("ndarray", "dtype")),
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("_core", "core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("_core", "core")),
    ("collections", "OrderedDict"),
}


class _ArraysOnly(pickle.Unpickler):
    """Reads pickles of NumPy arrays and refuses to name, and so to call, anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return super().find_class(module, name)


def extract(checkpoint: str | Path, out: str | Path) -> Path:
    """Write the policy of a checkpoint as a bundle, and return the bundle's folder.

    Args:
        checkpoint: RLlib checkpoint folder written by a qexp training run.
        out: Folder of the bundle.

    Raises:
        InputError: The folder is not such a checkpoint, or its state holds anything but arrays.
    """
    checkpoint = Path(checkpoint)
    try:
        metadata = json.loads((checkpoint / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        payload = (checkpoint / MODULE_STATE).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{checkpoint}: not a checkpoint of a qexp training run: {error}") from error
    if not isinstance(metadata, dict) or not {"algorithm", "architecture"} <= metadata.keys():
        raise InputError(f"{checkpoint / DESCRIPTION_FILE}: does not say which algorithm trained it")
    try:
        state = _ArraysOnly(io.BytesIO(payload)).load()
        weights = {
            name.removeprefix(PREFIX): np.asarray(value, dtype=np.float32)
            for name, value in state.items()
            # Noise is for training: the bundle holds the mean weights.
            if name.startswith(PREFIX) and not name.endswith(SPREAD)
        }
    except Exception as error:  # a damaged pickle may raise whatever there is
        raise InputError(f"{checkpoint / MODULE_STATE}: refused: {error}") from error
    if not weights:
        raise InputError(f"{checkpoint / MODULE_STATE}: no parameter is named {PREFIX}*")
    return save_policy(out, weights, metadata)


def command(arguments: Sequence[str] | None, prog: str) -> int:
    """Read the arguments, by default the process's own, and do it; return the exit status.

    Args:
        arguments: Of the command line; None for the process's own.
        prog: Name of the command in its help.
    """
    parser = argparse.ArgumentParser(prog=prog, description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="RLlib checkpoint folder of a training run")
    parser.add_argument("out", metavar="OUT", help="folder to write the bundle to")
    options = parser.parse_args(arguments)
    print(extract(options.checkpoint, options.out))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return answered(partial(command, arguments, "python -m qexp.problem.extract"))


if __name__ == "__main__":
    sys.exit(main())
