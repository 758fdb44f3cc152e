"""The sweeper, and the only part of it that Hydra imports at every start: no Optuna, nothing of qexp.

No ``from __future__ import annotations`` here: Hydra runs the module before it is in ``sys.modules``, where
dataclasses would look for the names in string annotations.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class OptunaSweeperConf:
    """Keys of ``hydra.sweeper``; see docs/sweeps.md.

    Attributes:
        n_trials: Jobs in all, those of earlier starts included.
        n_jobs: Jobs given to the launcher at once; the search learns from them together.
        seed: Of the search.
        params: What to search, by key, in Hydra's grammar: ``choice(...)``, ``range(...)``,
            ``interval(...)``, ``tag(log, interval(...))``.
        direction: Whether to ``minimize`` or ``maximize``.
        sampler: Chooses the values: ``tpe``, ``random``, ``gp`` or ``qmc``.
        pruner: Stops trainings that do worse than others did: ``none``, ``median``, ``halving`` or
            ``hyperband``.
        storage: Where the search is remembered: the URL of a database, or None for a file in the sweep's
            folder.
        study_name: Of the search in that database; None for the name of the sweep.
    """

    _target_: str = "hydra_plugins.qexp_optuna_sweeper.optuna_sweeper.OptunaSweeper"
    n_trials: int = 20
    n_jobs: int = 1
    seed: int = 0
    params: dict[str, str] = field(default_factory=dict)
    direction: str = "minimize"
    sampler: str = "tpe"
    pruner: str = "none"
    storage: Optional[str] = None  # noqa: UP045 -- what OmegaConf reads
    study_name: Optional[str] = None  # noqa: UP045


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="qexp")


class OptunaSweeper(Sweeper):
    """Search for the values with the smallest (or largest) mean of what schedulers are compared by."""

    def __init__(self, **settings: Any) -> None:
        self.settings = OptunaSweeperConf(**settings)
        self.config: DictConfig | None = None
        self.launcher: Any = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over what every job needs.

        Args:
            hydra_context: Hydra's loaders of configs and callbacks.
            task_function: Runs a job on its config.
            config: Of the whole multirun.
        """
        self.config = config
        self.hydra_context = hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Any]:
        """Run the search over the sweeps among overrides; return what the launcher did for each batch."""
        assert self.config is not None
        assert self.hydra_context is not None
        try:
            from hydra_plugins.qexp_optuna_sweeper._search import TRIAL, Pruning, Search, check, space

            from qexp.problem.problem import metric_of
        except ModuleNotFoundError as error:
            raise HydraException("hydra/sweeper=optuna needs Optuna: pip install 'qexp[search]'") from error

        settings = self.settings
        check(settings)
        params = [f"{key}={value}" for key, value in settings.params.items()]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = {item.get_key_element(): item for item in parser.parse_overrides([*params, *arguments])}
        fixed = [
            f"{key}={item.get_value_element_as_str()}"
            for key, item in overrides.items()
            if not item.is_sweep_override()
        ]
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        searched = [item for item in overrides.values() if item.is_sweep_override()]
        search = Search(folder, space(searched), settings)
        if settings.pruner != "none":
            self.hydra_context.callbacks.callbacks.append(
                Pruning(search.storage, search.name, settings.pruner)
            )
        returned: list[Any] = []
        done = search.finished
        while done < settings.n_trials:
            batch = search.ask(min(settings.n_jobs, settings.n_trials - done))
            jobs = [
                [*fixed, *chosen, f"+hydra.job.env_set.{TRIAL}={number}"] for number, chosen in batch.items()
            ]
            results = self.launcher.launch(jobs, initial_job_idx=done)
            search.tell([result.return_value for result in results])
            returned.append(results)
            done += len(batch)
        print(search.best(metric_of(self.config.env).unit))  # noqa: T201 - the answer of the search
        return returned
