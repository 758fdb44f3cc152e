"""The way in from Python: one run, a comparison, or an experiment made of objects.

The same road as the command line's, and the same run folder; what is wrong is an `InputError` of one line.
"""

from __future__ import annotations

import platform
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from datetime import datetime
from importlib import metadata
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import qexp
from qexp.algo.training import Training
from qexp.config.build import make
from qexp.config.composition import compose, files_of
from qexp.config.messages import explain
from qexp.config.option import (
    GROUPS,
    NAME,
    REGISTRY,
    TARGET,
    keys,
    load_options,
    name_of,
    named,
    option,
    path_of,
)
from qexp.config.outside import with_names_of_classes
from qexp.config.schema import settled, validate
from qexp.config.typed import readable
from qexp.deploy.deployment import Deployment
from qexp.errors import InputError
from qexp.experiment import run as run_config
from qexp.experiment import start
from qexp.fleet.account import refuse_secrets
from qexp.fleet.fleet import FLEET_FILE, Fleet, FleetSource, load_fleet, write_fleet
from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import POLICY, label
from qexp.problem.scheduler import Scheduler
from qexp.report.leaderboard import leaderboard as rows_of
from qexp.runfolder import RunFolder
from qexp.stages.evaluation import Evaluation
from qexp.stages.evaluation import evaluate as play
from qexp.stages.resume import composable
from qexp.stages.run import Result
from qexp.tracking import Tracking
from qexp.tracking.local import apply_environment

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
        The run's result; everything is in its folder.

    Raises:
        InputError: Something cannot be used; nothing was left behind.

    Example:
        >>> import qexp
        >>> qexp.run("scheduler=met", "eval.episodes=5", "tracking=off", "plots=false").status
        'COMPLETED'
    """
    given: Sequence[Any] = overrides
    for item in given:
        if not isinstance(item, str) or item.startswith("-"):
            raise InputError(
                f'{item!r}: run takes what sets something, as in run("algo=a2c", "env.tasks=25")'
            )
    refuse_secrets(list(overrides))
    typed = readable(with_names_of_classes(overrides))
    places, config, dir_typed = compose(composable(typed), config_dir)
    with files_of(places):
        try:
            if config.resume is not None:
                return _absolute(start(config, RunFolder(Path(config.resume), existing=True), typed))
            path = _folder(folder or dir_typed)
            # Written down where Hydra would: runs are named after it.
            (path / ".hydra").mkdir(exist_ok=True)
            OmegaConf.save(OmegaConf.create(typed), path / ".hydra" / "overrides.yaml")
            return _absolute(start(config, RunFolder(path), typed))
        except OmegaConfBaseException as error:
            raise InputError(explain(error)) from error


def evaluate(
    schedulers: Sequence[Choice | Scheduler] | Mapping[str, Choice | Scheduler],
    problem: Choice | DecisionProblem | None = None,
    *,
    episodes: int = 100,
    seed: int = 0,
) -> Evaluation:
    """Play the same unseen episodes with each scheduler.

    Args:
        schedulers: Names, ``{name: {key: value}}``, or objects; as a mapping, by the names they are to have.
        problem: The decision problem, by name or as an object; by default the papers' placement, 25 tasks on
            five machines.
        episodes: How many.
        seed: Of the episodes: the same seed gives the same ones.

    Returns:
        Tables of what was measured, per episode and per task; those that failed are in its ``failed``.

    Raises:
        InputError: A scheduler cannot be made or decides elsewhere, or there are not so many episodes.
    """
    load_options()
    counts: dict[str, tuple[Any, int]] = {"episodes": (episodes, 1), "seed": (seed, 0)}
    for name, (value, least) in counts.items():
        if not isinstance(value, Integral) or int(value) < least:
            raise InputError(f"{name}={value}: must be an integer of at least {least}")
    if isinstance(schedulers, str) or not schedulers:
        raise InputError(f"schedulers={schedulers!r}: name at least one, in a list or a mapping")
    decided = problem if isinstance(problem, DecisionProblem) else _problem(problem or "placement")
    listed: Iterable[tuple[str | None, Choice | Scheduler]] = (
        schedulers.items() if isinstance(schedulers, Mapping) else ((None, one) for one in schedulers)
    )
    made: dict[str, Scheduler] = {}
    for given, choice in listed:
        name, scheduler = _scheduler(given, choice)
        if name in made:
            raise InputError(f"schedulers: {name} is there more than once: name them with a mapping")
        if scheduler.environment != decided.metric.environment:
            raise InputError(
                f"schedulers: {name}: it decides in env={scheduler.environment}, "
                f"not {decided.metric.environment}"
            )
        made[name] = scheduler
    return play(decided, made, episodes=int(episodes), seed=int(seed))


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

    Values in parts are numbers, text, and lists and mappings of them: what a run is stands in a file.

    Attributes:
        problem: What is decided, with its machines.
        training: How a policy is learned, or None.
        scheduler: Who decides where nothing is trained; by default the one that others are measured against.
        baselines: Whom to compare with; None for all that the problem has.
        campaign: Where circuits run for real or as if, or None.
        tracking: Where the run is recorded.
        backend: The machines, for a problem that is given by name; a `Fleet` too.
        seed: Of everything random.
        episodes: Of the evaluation.
        eval_seed: Of the evaluation episodes; by default ``seed``.
        plots: Whether to draw, or the format to draw in: ``"png"``, ``"pdf"`` or ``"svg"``.

    Example:
        >>> import qexp
        >>> experiment = qexp.Experiment(baselines=["mct", {"weighted": {"fidelity_weight": 0.2}}])
        >>> experiment.config["eval"]["episodes"]
        100
    """

    problem: Choice | DecisionProblem = "placement"
    training: Choice | Training | None = None
    scheduler: Choice | Scheduler | None = None
    baselines: Sequence[Choice | Scheduler] | None = None
    campaign: Choice | Deployment | None = None
    tracking: Choice | Tracking = "local"
    backend: Choice | FleetSource | Fleet | None = None
    seed: int = 0
    episodes: int = 100
    eval_seed: int | None = None
    plots: bool | str = True

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
            config = OmegaConf.create(validate(self._composed(path)))
            # An object of tracking gives all its keys.
            given = {} if isinstance(self.tracking, str) else _node(self.tracking, "tracking")
            apply_environment(config, [f"tracking.{key}" for key in given])
            return _absolute(run_config(config, run_folder))

    def _composed(self, folder: Path | None = None) -> dict[str, Any]:
        load_options()
        nodes = {
            "env": _node(self.problem, "env"),
            "algo": _node("none" if self.training is None else self.training, "algo"),
            "deploy": _node("none" if self.campaign is None else self.campaign, "deploy"),
            "tracking": _node(self.tracking, "tracking"),
        }
        default: dict[str, str] = {"backend": "qce5", "scheduler": "mct"}
        for group in ("env", "algo", "deploy"):
            kind: Any = REGISTRY[group][nodes[group][NAME]]
            default |= kind.chooses
        nodes["backend"] = _node(self._machines(default["backend"], folder), "backend")
        scheduler = default["scheduler"] if self.scheduler is None else self.scheduler
        nodes["scheduler"] = _node(scheduler, "scheduler")
        if isinstance(self.baselines, str | Mapping):
            raise InputError(f"baselines={self.baselines!r}: give a list")
        baselines = None
        if self.baselines is not None:
            listed = [_node(one, "scheduler") for one in self.baselines]
            baselines = [{node.pop(NAME): node} for node in listed]
        eval_seed = self.seed if self.eval_seed is None else self.eval_seed
        evaluation = {"episodes": self.episodes, "baselines": baselines, "seed": eval_seed}
        return {"seed": self.seed, "eval": evaluation, "plots": self.plots} | nodes

    def _machines(self, default: str, folder: Path | None) -> Choice | FleetSource:
        """Return the option that has the machines; a fleet of one's own is written to the run folder."""
        fleet: Any = self.backend
        if isinstance(self.problem, DecisionProblem) and self.problem.has_fleet:
            if self.backend is not None:
                raise InputError("backend: the problem is an object, with its machines: leave backend out")
            fleet = getattr(self.problem, "fleet", None)
        if not isinstance(fleet, Fleet):
            return fleet or default
        for name in ("qce5", "ibm13", "heron"):
            if load_fleet(name).hash == fleet.hash:
                return name
        if folder is not None:
            write_fleet(fleet, folder)
        return {"file": {"path": str((folder or Path()) / FLEET_FILE)}}


def show_versions() -> None:
    """Print what a bug report should say: versions of qexp, Python and what matters for results."""
    names = (
        *("gymnasium", "hydra-core", "mlflow", "numpy", "omegaconf", "pydantic", "ray", "simpy", "torch"),
        *("mqt-bench", "optuna", "ortools", "qiskit", "qiskit-aer", "qiskit-ibm-runtime"),
        "stable-baselines3",
    )
    lines = {"qexp": qexp.__version__, "python": platform.python_version(), "system": platform.platform()}
    for name in names:
        try:
            lines[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            lines[name] = "not installed"
    print("\n".join(f"{name:20s} {version}" for name, version in lines.items()))


def _folder(chosen: str | Path | None) -> Path:
    """Return a run folder that exists: the chosen one, or a new one."""
    if chosen is not None:
        try:
            Path(chosen).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"folder={chosen}: {error.strerror}") from error
        return Path(chosen)
    while True:
        now = datetime.now().astimezone()
        path = Path("outputs") / now.strftime("%Y-%m-%d") / now.strftime("%H-%M-%S-%f")
        try:
            path.mkdir(parents=True)
        except FileExistsError:  # another thread's
            continue
        return path


def _absolute(result: Result) -> Result:
    """Return a result whose folder is the same from another current folder."""
    return replace(result, folder=result.folder.absolute())


def _node(choice: Any, group: str) -> dict[str, Any]:
    """Return the configuration of a part, whatever it is given as."""
    known = REGISTRY[group]
    name, settings = choice, None
    if isinstance(choice, GROUPS[group]):
        kind = type(choice)
        if not is_dataclass(kind):
            raise InputError(
                f"{group}: {path_of(kind)}: options are dataclasses: put @dataclass above the class"
            )
        name = name_of(kind, group)
        if name not in known:
            option(group)(kind)
        settings = named(kind, group) | {key: getattr(choice, key) for key in keys(kind)}
    elif isinstance(choice, Mapping) and len(choice) == 1:
        ((name, settings),) = choice.items()
    if not isinstance(name, str) or not isinstance(settings, Mapping | None):
        shown = " ".join(reprlib.repr(choice).split())
        raise InputError(f"{group}: {shown}: give a name, {{name: {{key: value}}}}, or an object")
    node = {NAME: name, **(settings or {})}
    if name not in known and TARGET not in node:
        raise InputError(f"{group}: there is no option {name!r}: choose one of {', '.join(known)}")
    cls = type(choice) if isinstance(choice, GROUPS[group]) else known.get(name)
    parts = {key.name: key.group for key in keys(cls).values() if key.group} if cls else {}
    return {
        key: _node(value, part) if (part := parts.get(key)) else _plain(value, f"{group}.{key}")
        for key, value in node.items()
    }


def _plain(value: Any, key: str) -> Any:
    """Return the value of a key as a configuration holds it: NumPy's numbers as Python's, paths as text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one, f"{key}.{name}") for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, key) for one in value]
    raise InputError(
        f"{key}: {type(value).__name__} is no value of a configuration: "
        "numbers, text, lists and mappings of them are"
    )


def _scheduler(name: str | None, choice: Choice | Scheduler) -> tuple[str, Scheduler]:
    """Return a scheduler and what it is called; an object that has a name need not say its settings."""
    if isinstance(choice, Scheduler):
        try:
            return name or label(settled(_node(choice, "scheduler"), "scheduler")), choice
        except InputError as error:
            raise InputError(f"{error}; or name the object with a mapping: {{NAME: OBJECT}}") from error
    node = settled(_node(choice, "scheduler"), "scheduler")
    if node[NAME] == POLICY and node.get("path") is None:
        raise InputError(f"schedulers: {POLICY}: needs a path: write {{'policy': {{'path': FOLDER}}}}")
    return name or label(node), make(node, Scheduler)


def _problem(choice: Choice) -> DecisionProblem:
    node = settled(_node(choice, "env"), "env")
    kind: Any = REGISTRY["env"][node[NAME]]
    fleet = make(settled({NAME: kind.chooses.get("backend", "qce5")}, "backend"), FleetSource).load()
    return make(node, DecisionProblem, fleet=fleet)
