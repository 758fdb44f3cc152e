"""The launcher, and the only part of it that Hydra imports at every start: no Ray, nothing of qexp.

No ``from __future__ import annotations`` here: Hydra runs the module before it is in ``sys.modules``, where
dataclasses would look for the names in string annotations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


@dataclass
class RayLauncherConf:
    """Keys of ``hydra.launcher``; see docs/cluster.md.

    Attributes:
        address: Ray cluster; None for a private one with all cores of this machine.
        num_cpus: CPUs reserved for each job, besides one for each of its environment runners.
        max_retries: How often a job is started again when its node is lost.
    """

    _target_: str = "hydra_plugins.qexp_ray_launcher.ray_launcher.RayLauncher"
    address: str | None = "${oc.select:ray.address,null}"
    num_cpus: float = 1
    max_retries: int = 3


ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayLauncherConf, provider="qexp")


class RayLauncher(Launcher):
    """Run jobs side by side, as many as the cluster has room for."""

    def __init__(self, **settings: Any) -> None:
        self.settings = RayLauncherConf(**settings)
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over what every job needs.

        Args:
            hydra_context: Hydra's loaders of configs and callbacks.
            task_function: Runs a job on its config.
            config: Of the whole multirun.
        """
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs to their end.

        Args:
            job_overrides: Overrides of each job.
            initial_job_idx: Number of the first.

        Returns:
            What each job returned, in order; None for one that its nodes were lost with too often.
        """
        from hydra_plugins.qexp_ray_launcher._tasks import run_all

        assert self.config is not None
        assert self.hydra_context is not None
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        folder = str(self.config.hydra.sweep.dir)
        Path(folder).mkdir(parents=True, exist_ok=True)
        configs = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id = str(number)
                config.hydra.job.num = number
                # Resolved here, once: a node's clock and resolvers may be others.
                config.hydra.sweep.dir = folder
                config.hydra.sweep.subdir = str(config.hydra.sweep.subdir)
            configs.append(config)
        try:
            return run_all(self, configs)
        finally:
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
