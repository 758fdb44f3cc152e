"""The way in from Python: one run, a comparison, or an experiment made of objects.

The same road as the command line's, and the same run folder; what is wrong is an `InputError` of one line.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import qexp
from qexp.algo.training import Training
from qexp.backend.account import refuse_secrets
from qexp.backend.fleet import Fleet, FleetSource, load_fleet
from qexp.backend.kept import FLEET_FILE, write_fleet
from qexp.config.build import config_of, make
from qexp.config.composition import compose
from qexp.config.messages import explain
from qexp.config.option import GROUPS, NAME, REGISTRY, load_options
from qexp.config.option_files import files_of
from qexp.config.outside import with_names_of_classes
from qexp.config.schema import settled, validate
from qexp.deploy.deployment import Deployment
from qexp.env.decision_problem import DecisionProblem
from qexp.errors import InputError
from qexp.evaluation import Evaluation
from qexp.evaluation import evaluate as play
from qexp.experiment import run as run_config
from qexp.record import Result
from qexp.report.leaderboard import leaderboard as rows_of
from qexp.resume import composable, own_config
from qexp.roster import label
from qexp.runfolder import RunFolder
from qexp.scheduler.scheduler import Scheduler
from qexp.tracking import Tracking
from qexp.tracking.environment import heed_environment

if TYPE_CHECKING:
    import pandas as pd

Choice = str | Mapping[str, Any]
"""An option by its name, or ``{name: {key: value}}``."""


def run(*overrides: str, folder: str | Path | None = None, config_dir: str | Path | None = None) -> Result:
    """Run an experiment, as ``python -m qexp OVERRIDES`` does.

    Args:
        *overrides: As typed on the command line: ``"algo=a2c"``, ``"env.tasks=25"``, ``"resume=FOLDER"``.
        folder: Run folder; by default ``outputs/<date>/<time>`` below the current one.
        config_dir: Folder of option files of one's own, laid out like ``conf/``.

    Returns:
        What the run found; everything is in its folder.

    Raises:
        InputError: Something cannot be used; nothing was left behind.

    Example:
        >>> import qexp
        >>> qexp.run("scheduler=met", "eval.episodes=5", "tracking=off", "plots=false").status
        'COMPLETED'
    """
    refuse_secrets(list(overrides))
    places, config, dir_typed = compose(composable(with_names_of_classes(overrides)), config_dir)
    with files_of(places):
        if config.sweep is not None:
            raise InputError(f"sweep={config.sweep} names a multirun: run it as qexp -m ...")
        resumes = config.resume is not None
        path = Path(config.resume) if resumes else _folder(folder or dir_typed)
        with RunFolder(path, kept=resumes) as run_folder:
            try:
                heed_environment(config, list(overrides))
                if resumes:
                    config = own_config(run_folder, config, overrides)
                else:
                    _note_overrides(path, overrides)
                return run_config(config, run_folder, resume=resumes)
            except OmegaConfBaseException as error:
                raise InputError(explain(error)) from error


def evaluate(
    schedulers: Sequence[Choice | Scheduler] | Mapping[str, Choice | Scheduler],
    problem: DecisionProblem | None = None,
    *,
    episodes: int = 100,
    seed: int = 0,
) -> Evaluation:
    """Play the same unseen episodes with each scheduler.

    Args:
        schedulers: Names, ``{name: {key: value}}``, or objects; as a mapping, by the names they are to have.
        problem: The decision problem; by default the papers' placement, 25 tasks on five machines.
        episodes: How many.
        seed: Of the episodes: the same seed gives the same ones.

    Returns:
        Tables of what was measured, per episode and per task; those that failed are in its ``failed``.

    Raises:
        InputError: A scheduler cannot be made, or there are not so many episodes.
    """
    load_options()
    listed = schedulers.items() if isinstance(schedulers, Mapping) else ((None, one) for one in schedulers)
    made: dict[str, Scheduler] = {}
    for name, one in listed:
        node = config_of(one, "scheduler") if isinstance(one, Scheduler) else _node(one, "scheduler")
        decider = one if isinstance(one, Scheduler) else make(settled(node, "scheduler"), Scheduler)
        called = name or label(settled(node, "scheduler"))
        if called in made:
            raise InputError(f"schedulers: {called} is there more than once: name them with a mapping")
        made[called] = decider
    return play(problem or _default_problem(), made, episodes=episodes, seed=seed)


def leaderboard(evaluation: Evaluation, *, seed: int = 0) -> pd.DataFrame:
    """Return one row per scheduler, best mean first: the columns of leaderboard.csv.

    Args:
        evaluation: From `evaluate`.
        seed: Of the bootstrap.
    """
    import pandas as pd

    rows = rows_of(evaluation.episodes, evaluation.metric, seed=seed, failed=evaluation.failed)
    return pd.DataFrame([row.record(evaluation.metric) for row in rows])


@dataclass
class Experiment:
    """A run made of parts: each an option by name, ``{name: {key: value}}``, or an object of its class.

    Attributes:
        problem: What is decided, with its machines.
        training: How a policy is learned, or None.
        scheduler: Who decides where nothing is trained; by default the one that others are measured against.
        baselines: Whom to compare with; None for all that the problem has.
        campaign: Where circuits run for real or as if, or None.
        tracking: Where the run is recorded.
        backend: The machines, for a problem that is given by name.
        seed: Of everything random.
        episodes: Of the evaluation.
        eval_seed: Of the evaluation episodes; by default ``seed``.
        plots: Whether to draw.

    Example:
        >>> import qexp
        >>> experiment = qexp.Experiment(baselines=["mct", {"weighted": {"fidelity_weight": 0.2}}])
        >>> experiment.config["eval"]["episodes"]
        100
    """

    problem: Choice | DecisionProblem = "placement"
    training: Choice | Training | None = None
    scheduler: Choice | Scheduler | None = None
    baselines: Sequence[Choice] | None = None
    campaign: Choice | Deployment | None = None
    tracking: Choice | Tracking = "local"
    backend: Choice | FleetSource | None = None
    seed: int = 0
    episodes: int = 100
    eval_seed: int | None = None
    plots: bool = True
    _fleet: Fleet | None = field(default=None, init=False, repr=False)

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration.

        Raises:
            InputError: Something in it cannot be used.
        """
        return validate(self._composed())

    def run(self, folder: str | Path | None = None) -> Result:
        """Run it, see `qexp.run`.

        Args:
            folder: Run folder; by default ``outputs/<date>/<time>`` below the current one.
        """
        path = _folder(folder)
        with RunFolder(path) as run_folder:
            config = self._composed()
            if self._fleet is not None:
                write_fleet(self._fleet, path)
                config["backend"] = {NAME: "file", "path": str(path / FLEET_FILE)}
            checked = OmegaConf.create(validate(config))
            if isinstance(self.tracking, str):
                heed_environment(checked, [])
            return run_config(checked, run_folder)

    def _composed(self) -> dict[str, Any]:
        load_options()
        env = _node(self.problem, "env")
        algo = _node("none" if self.training is None else self.training, "algo")
        deploy = _node("none" if self.campaign is None else self.campaign, "deploy")
        goes: dict[str, str] = {"backend": "qce5", "scheduler": "mct"}
        for group, node in (("env", env), ("algo", algo), ("deploy", deploy)):
            goes |= _kind(group, node).chooses
        backend = goes["backend"] if self.backend is None else self.backend
        if self.backend is None and isinstance(self.problem, DecisionProblem):
            backend = self._backend_of(self.problem, goes["backend"])
        scheduler = goes["scheduler"] if self.scheduler is None else self.scheduler
        return {
            "seed": self.seed,
            "eval": {
                "episodes": self.episodes,
                "baselines": None if self.baselines is None else list(self.baselines),
                "seed": self.seed if self.eval_seed is None else self.eval_seed,
            },
            "plots": self.plots,
            "backend": _node(backend, "backend"),
            "env": env,
            "algo": algo,
            "scheduler": _node(scheduler, "scheduler"),
            "deploy": deploy,
            "tracking": _node(self.tracking, "tracking"),
        }

    def _backend_of(self, problem: DecisionProblem, default: str) -> str:
        """Return the option that has a problem's machines; machines of one's own go into the run folder."""
        fleet = getattr(problem, "fleet", None)
        if not problem.has_fleet or not isinstance(fleet, Fleet):
            return default
        shipped = [name for name in ("qce5", "ibm13", "heron") if load_fleet(name).hash == fleet.hash]
        self._fleet = None if shipped else fleet
        return shipped[0] if shipped else "qce5"


def show_versions() -> None:
    """Print what a bug report should say: versions of qexp, Python and what matters for results."""
    names = ("gymnasium", "hydra-core", "mlflow", "numpy", "omegaconf", "pydantic", "ray", "simpy", "torch")
    extras = (
        "mqt-bench",
        "optuna",
        "ortools",
        "qiskit",
        "qiskit-aer",
        "qiskit-ibm-runtime",
        "stable-baselines3",
    )
    lines = {"qexp": qexp.__version__, "python": platform.python_version(), "system": platform.platform()}
    for name in (*names, *extras):
        try:
            lines[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            lines[name] = "not installed"
    print("\n".join(f"{name:20s} {version}" for name, version in lines.items()))


def _folder(chosen: str | Path | None) -> Path:
    """Return a run folder that exists: the chosen one, or a new one."""
    if chosen is not None:
        Path(chosen).mkdir(parents=True, exist_ok=True)
        return Path(chosen)
    while True:
        now = datetime.now().astimezone()
        path = Path("outputs") / now.strftime("%Y-%m-%d") / now.strftime("%H-%M-%S-%f")
        try:
            path.mkdir(parents=True)
        except FileExistsError:  # another thread's
            continue
        return path


def _note_overrides(path: Path, overrides: Sequence[str]) -> None:
    """Write down what was asked for, where Hydra would: runs are named after it."""
    (path / ".hydra").mkdir(exist_ok=True)
    (path / ".hydra" / "overrides.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(list(overrides))))


def _node(choice: Any, group: str) -> dict[str, Any]:
    """Return the configuration of a part, whatever it is given as."""
    if isinstance(choice, str):
        return {NAME: choice}
    if isinstance(choice, Mapping) and len(choice) == 1:
        ((name, settings),) = choice.items()
        return {NAME: name, **(settings or {})}
    if not isinstance(choice, GROUPS[group]):
        raise InputError(f"{group}: {choice!r}: give a name, {{name: {{key: value}}}}, or an object")
    return config_of(choice, group)


def _kind(group: str, node: Mapping[str, Any]) -> Any:
    known = REGISTRY[group]
    if node[NAME] not in known:
        raise InputError(f"{group}: there is no option {node[NAME]!r}: choose one of {', '.join(known)}")
    return known[node[NAME]]


def _default_problem() -> DecisionProblem:
    from qexp.env.scenario import Scenario

    return Scenario(load_fleet("qce5"))
