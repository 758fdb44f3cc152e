"""What option files say of options that are not chosen, as Hydra composes them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qexp.errors import InputError

EMPTY, WHERE = "qexp_nothing", "options"


def values_of_files(group: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what the files of options say, for those that have one and can be composed.

    The files are those of the running Hydra command; outside one, options have their classes' values.

    Args:
        group: Config group.
        names: Options.
    """
    if not HydraConfig.initialized():
        return {}
    sources = HydraConfig.get().runtime.config_sources
    places = tuple((str(source.provider), f"{source.schema}://{source.path}") for source in sources)
    return {
        name: dict(values) for name, values in _composed(places, group, tuple(sorted(set(names)))).items()
    }


@lru_cache(maxsize=32)
def _composed(
    places: tuple[tuple[str, str], ...], group: str, names: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    search_path = ConfigSearchPathImpl()
    for provider, path in places:
        if provider not in {"hydra", "schema"}:
            search_path.append(provider, path)
    search_path.append("schema", "structured://")
    search_path.prepend("hydra", "pkg://hydra.conf")
    ConfigStore.instance().store(name=EMPTY, node={})
    loader = ConfigLoaderImpl(search_path)
    repository = loader.repository
    wanted = [
        f"+{group}@{WHERE}.{name}={name}" for name in names if repository.config_exists(f"{group}/{name}")
    ]
    try:
        config = loader.load_configuration(EMPTY, overrides=wanted, run_mode=RunMode.RUN)
        plain: dict[str, dict[str, Any]] = OmegaConf.to_container(  # type: ignore[assignment]
            config.get(WHERE, OmegaConf.create()), resolve=True
        )
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"{group}: one of {', '.join(names)} cannot be composed: {error}") from error
    return plain
