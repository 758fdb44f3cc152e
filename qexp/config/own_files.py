"""Option files of a user's own, which need not say what their classes say already."""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from qexp.config.option import GROUPS, NAME, REGISTRY, TARGET, defaults_list, is_ours
from qexp.config.outside import class_at
from qexp.errors import InputError


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's reader of configuration files, which adds the defaults list that an option's file leaves out.

    So a file may hold nothing but ``_target_: package.module.Class``, or a value or two of a known option:
    the other keys come from the class. Hydra takes it for its own, by its name.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file, see the class."""
        result = super().load_config(config_path)
        group, _, stem = config_path.removesuffix(".yaml").rpartition("/")
        content = result.config
        if group not in GROUPS or not isinstance(content, DictConfig) or {"defaults", NAME} & content.keys():
            return result
        try:
            cls = class_at(content[TARGET], group, TARGET) if TARGET in content else REGISTRY[group].get(stem)
        except InputError:  # said where the option is used
            return result
        if cls is None or (TARGET in content and is_ours(cls)):
            return result
        name = next(name for name, known in REGISTRY[group].items() if known is cls)
        with_defaults = {"defaults": defaults_list(cls, name)} | OmegaConf.to_container(content)  # type: ignore[operator]
        result.config = OmegaConf.create(with_defaults)
        return result


def read_own_files() -> None:
    """Let Hydra read files so, in this process."""
    SourcesRegistry.instance().types["file"] = FileConfigSource


def forget(group: str, name: str) -> None:
    """Take an option out of Hydra's store: Hydra does not accept a file beside it."""
    node: Any = ConfigStore.instance().repo
    for part in group.split("/"):
        node = node.get(part, {})
    node.pop(f"{name}.yaml", None)
