"""Environments by name, for RLlib: in this process, in its workers and from a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gymnasium.vector import VectorEnv
from ray import cloudpickle
from ray.tune.registry import ENV_CREATOR, _global_registry, register_env

VectorEnvMaker = Callable[[int], VectorEnv[Any, Any, Any]]
"""Makes a vector environment of so many episodes."""


def register_vector_env(make_vector_env: VectorEnvMaker) -> str:
    """Register an environment with RLlib and return its name, for ``config.environment(name)``.

    The name is made of the content: runs that share a registry, such as the jobs of a sweep on a Ray cluster,
    meet under a name only if they mean the same environment.
    """
    name = f"qexp-{hashlib.sha256(cloudpickle.dumps(make_vector_env)).hexdigest()[:32]}"
    register_again(name, make_vector_env)
    return name


def register_again(name: str, make_vector_env: VectorEnvMaker) -> None:
    """Register an environment under the name it had where a checkpoint was written.

    Read back, it may not be the same to the byte, and `register_vector_env` would name it otherwise.
    """
    register_env(name, partial(_create, make_vector_env))


def registered_vector_env(name: str) -> VectorEnvMaker | None:
    """Return what was registered under a name, or None if that was something else, or nothing."""
    if not _global_registry.contains(ENV_CREATOR, name):
        return None
    creator = _global_registry.get(ENV_CREATOR, name)
    ours = isinstance(creator, partial) and creator.func is _create
    return creator.args[0] if ours else None


def _create(make_vector_env: VectorEnvMaker, context: Mapping[str, Any]) -> VectorEnv[Any, Any, Any]:
    return make_vector_env(context["num_envs"])
