"""The way in from Python: one run, a comparison, or an experiment made of objects.

The same road as the command line's, and the same run folder; what is wrong is an `InputError` of one line.
"""

from __future__ import annotations

import platform
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import metadata
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import qexp
from qexp.algo.training import Training
from qexp.config.build import config_of, make, plain
from qexp.config.composition import compose, files_of
from qexp.config.messages import explain
from qexp.config.option import GROUPS, NAME, REGISTRY, TARGET, keys, load_options, option
from qexp.config.outside import with_names_of_classes
from qexp.config.schema import settled, validate
from qexp.config.typed import readable
from qexp.deploy.deployment import Deployment
from qexp.errors import InputError
from qexp.experiment import run as run_config
from qexp.fleet.account import refuse_secrets
from qexp.fleet.fleet import FLEET_FILE, Fleet, FleetSource, load_fleet, write_fleet
from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import POLICY, label
from qexp.problem.scheduler import Scheduler
from qexp.report.leaderboard import leaderboard as rows_of
from qexp.runfolder import RunFolder
from qexp.stages.evaluation import Evaluation
from qexp.stages.evaluation import evaluate as play
from qexp.stages.resume import composable, own_config
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
        What the run found; everything is in its folder.

    Raises:
        InputError: Something cannot be used; nothing was left behind.

    Example:
        >>> import qexp
        >>> qexp.run("scheduler=met", "eval.episodes=5", "tracking=off", "plots=false").status
        'COMPLETED'
    """
    _refuse_flags(overrides)
    refuse_secrets(list(overrides))
    typed = readable(with_names_of_classes(overrides))
    places, config, dir_typed = compose(composable(typed), config_dir)
    with files_of(places):
        if config.sweep is not None:
            raise InputError(f"sweep={config.sweep} names a multirun: run it as qexp -m ...")
        resumes = config.resume is not None
        path = Path(config.resume) if resumes else _folder(folder or dir_typed)
        with RunFolder(path, kept=resumes) as run_folder:
            try:
                apply_environment(config, list(overrides))
                if resumes:
                    config = own_config(run_folder, config, overrides)
                else:
                    _note_overrides(path, overrides)
                return _found(run_config(config, run_folder, resume=resumes))
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
    _check_count("episodes", episodes, 1)
    _check_count("seed", seed, 0)
    if isinstance(schedulers, str) or not schedulers:
        raise InputError(f"schedulers={schedulers!r}: name at least one, in a list or a mapping")
    decided = problem if isinstance(problem, DecisionProblem) else _problem(problem or "placement")
    listed: Iterable[tuple[str | None, Choice | Scheduler]] = (
        schedulers.items() if isinstance(schedulers, Mapping) else ((None, one) for one in schedulers)
    )
    made: dict[str, Scheduler] = {}
    for name, one in listed:
        called, decider = _decider(name, one)
        if called in made:
            raise InputError(f"schedulers: {called} is there more than once: name them with a mapping")
        if decider.environment != decided.metric.environment:
            raise InputError(
                f"schedulers: {called}: it decides in env={decider.environment}, "
                f"not {decided.metric.environment}"
            )
        made[called] = decider
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
            apply_environment(checked, self._tracking_keys())
            return _found(run_config(checked, run_folder))

    def _tracking_keys(self) -> list[str]:
        """Return the keys of tracking that are given; an object gives them all."""
        if isinstance(self.tracking, str):
            return []
        return [f"tracking.{key}" for key in _node(self.tracking, "tracking")]

    def _composed(self) -> dict[str, Any]:
        load_options()
        env = _node(self.problem, "env")
        algo = _node("none" if self.training is None else self.training, "algo")
        deploy = _node("none" if self.campaign is None else self.campaign, "deploy")
        goes: dict[str, str] = {"backend": "qce5", "scheduler": "mct"}
        for group, node in (("env", env), ("algo", algo), ("deploy", deploy)):
            goes |= _kind(group, node).chooses
        backend = self._machines(goes["backend"])
        scheduler = goes["scheduler"] if self.scheduler is None else self.scheduler
        return {
            "seed": self.seed,
            "eval": {
                "episodes": self.episodes,
                "baselines": None if self.baselines is None else _entries(self.baselines),
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

    def _machines(self, default: str) -> Choice | FleetSource:
        """Return the option that has the machines; those of one's own go into the run folder."""
        self._fleet = None
        fleet: Any = self.backend
        if isinstance(self.problem, DecisionProblem) and self.problem.has_fleet:
            if self.backend is not None:
                raise InputError("backend: the problem is an object, with its machines: leave backend out")
            fleet = getattr(self.problem, "fleet", None)
        if not isinstance(fleet, Fleet):
            return fleet or default
        shipped = [name for name in ("qce5", "ibm13", "heron") if load_fleet(name).hash == fleet.hash]
        if shipped:
            return shipped[0]
        self._fleet = fleet
        return {"file": {"path": FLEET_FILE}}


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


def _found(result: Result) -> Result:
    """Return a result that is still found when the current folder is another."""
    return replace(result, folder=result.folder.absolute())


def _note_overrides(path: Path, overrides: Sequence[str]) -> None:
    """Write down what was asked for, where Hydra would: runs are named after it."""
    (path / ".hydra").mkdir(exist_ok=True)
    (path / ".hydra" / "overrides.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(list(overrides))))


def _check_count(name: str, value: Any, least: int) -> None:
    if not isinstance(value, Integral) or int(value) < least:
        raise InputError(f"{name}={value}: must be an integer of at least {least}")


def _refuse_flags(overrides: Sequence[Any]) -> None:
    for item in overrides:
        if not isinstance(item, str) or item.startswith("-"):
            raise InputError(
                f'{item!r}: run takes what sets something, as in run("algo=a2c", "env.tasks=25")'
            )


def _node(choice: Any, group: str) -> dict[str, Any]:
    """Return the configuration of a part, whatever it is given as."""
    if isinstance(choice, GROUPS[group]):
        node = config_of(choice, group)
        if node[NAME] not in REGISTRY[group]:
            option(group)(type(choice))
        return node
    name, settings = choice, None
    if isinstance(choice, Mapping) and len(choice) == 1:
        ((name, settings),) = choice.items()
    if not isinstance(name, str) or not isinstance(settings, Mapping | None):
        shown = " ".join(reprlib.repr(choice).split())
        raise InputError(f"{group}: {shown}: give a name, {{name: {{key: value}}}}, or an object")
    node = {NAME: name, **(settings or {})}
    known = REGISTRY[group]
    if name not in known and TARGET not in node:
        raise InputError(f"{group}: there is no option {name!r}: choose one of {', '.join(known)}")
    parts = {key.name: key.group for key in keys(known[name]).values() if key.group} if name in known else {}
    return {
        key: _node(value, part) if (part := parts.get(key)) else plain(value, f"{group}.{key}")
        for key, value in node.items()
    }


def _kind(group: str, node: Mapping[str, Any]) -> Any:
    return REGISTRY[group][node[NAME]]


def _entries(listed: Sequence[Choice | Scheduler]) -> list[Any]:
    """Return a list of schedulers as a configuration has it."""
    if isinstance(listed, str | Mapping):
        raise InputError(f"baselines={listed!r}: give a list")
    nodes = [_node(one, "scheduler") for one in listed]
    return [{node[NAME]: {key: value for key, value in node.items() if key != NAME}} for node in nodes]


def _decider(name: str | None, choice: Choice | Scheduler) -> tuple[str, Scheduler]:
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
    machines = _kind("env", node).chooses.get("backend", "qce5")
    fleet = make(settled({NAME: machines}, "backend"), FleetSource).load()
    return make(node, DecisionProblem, fleet=fleet)
