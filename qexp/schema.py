"""The root of the configuration, its types and bounds, and the checks made before anything runs.

Every option is a dataclass registered with `qexp.option`. Here each becomes a Hydra schema (so that a wrong
key or type fails while the config is composed) and a pydantic model (so that all out-of-range values are
reported at once).
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from typing import Annotated, Any, get_origin, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from qexp.errors import InputError
from qexp.option import REGISTRY, settable

# Importing a module registers its options. All of them are light: NumPy at most.
OPTION_MODULES = (
    "qexp.backend.fleet",
    "qexp.backend.synthetic",
    "qexp.backend.live_fleet",
    "qexp.workload.catalogue",
    "qexp.workload.csv_file",
    "qexp.workload.arrivals.uniform",
    "qexp.workload.arrivals.poisson",
    "qexp.workload.arrivals.qsimpy",
    "qexp.workload.service_time.clops_depth",
    "qexp.workload.service_time.repetition_delay",
    "qexp.env.reward.completion",
    "qexp.env.reward.inverse",
    "qexp.env.reward.weighted",
    "qexp.env.scenario",
    "qexp.gates.circuits.basic",
    "qexp.gates.circuits.workshop",
    "qexp.gates.circuits.mqt",
    "qexp.gates.circuits.qasm",
    "qexp.env.gate_scenario",
    "qexp.scheduler.random",
    "qexp.scheduler.round_robin",
    "qexp.scheduler.greedy",
    "qexp.scheduler.greedy_error",
    "qexp.scheduler.least_busy",
    "qexp.scheduler.mct",
    "qexp.scheduler.met",
    "qexp.scheduler.fidelity",
    "qexp.scheduler.weighted",
    "qexp.scheduler.clairvoyant",
    "qexp.scheduler.asap",
    "qexp.scheduler.alap",
    "qexp.scheduler.critical_path",
    "qexp.scheduler.randomised_critical_path",
    "qexp.scheduler.cp_sat",
    "qexp.scheduler.policy",
    "qexp.algo.none",
    "qexp.algo.a2c",
    "qexp.algo.ppo",
    "qexp.algo.dqn",
    "qexp.deploy.none",
    "qexp.deploy.simulator",
    "qexp.deploy.ibm",
    "qexp.deploy.local",
    "qexp.tracking",
)


@dataclass
class EvalConfig:
    """How schedulers are compared; see conf/config.yaml."""

    episodes: Annotated[int, Field(ge=1)] = 100
    baselines: list[str] | None = None
    seed: Annotated[int, Field(ge=0)] = MISSING


@dataclass
class RayConfig:
    """Where Ray runs; see conf/config.yaml."""

    address: str | None = None


@dataclass
class Config:
    """The whole configuration; see conf/config.yaml."""

    seed: Annotated[int, Field(ge=0)] = 0
    backend: Any = MISSING
    env: Any = MISSING
    algo: Any = MISSING
    scheduler: Any = MISSING
    deploy: Any = MISSING
    tracking: Any = MISSING
    eval: EvalConfig = field(default_factory=EvalConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    plots: bool = True
    sweep: str | None = None
    resume: str | None = None


SECTIONS = (EvalConfig, RayConfig)
"""Parts of the root that are no options: their keys are always there."""


def load_options() -> None:
    """Fill the registry of options."""
    for module in OPTION_MODULES:
        importlib.import_module(module)


def register() -> None:
    """Store every option's schema with Hydra, as ``<group>/<option>_schema``."""
    load_options()
    store = ConfigStore.instance()
    store.store(name="config_schema", node=_plain(Config, None))
    for group, options in REGISTRY.items():
        for name, cls in options.items():
            store.store(
                group=group, name=f"{name}_schema", node=_plain(cls, f"{cls.__module__}.{cls.__qualname__}")
            )


def validate(config: DictConfig) -> dict[str, Any]:
    """Check every value against its bounds, and the options against each other.

    Returns:
        The resolved configuration as plain containers.

    Raises:
        InputError: Naming every key that is wrong.
    """
    load_options()  # a process that only runs a sweep's jobs never composes, and never registers
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise InputError("; ".join(f"{key}: needs a value: set {key}" for key in missing))
    plain = OmegaConf.to_container(config, resolve=True)
    if not isinstance(plain, dict):
        raise InputError("the configuration is not a mapping")
    resolved: dict[str, Any] = {str(key): value for key, value in plain.items()}
    complaints = _violations(Config, resolved, "")
    for prefix, node in _options(resolved):
        cls = _class_of(node["_target_"])
        if cls is None:
            complaints.append(f"{prefix}_target_: {node['_target_']} is not an option of qexp")
        else:
            complaints += _violations(cls, {k: v for k, v in node.items() if k != "_target_"}, prefix)
    # Options can only be held against each other once each is sound.
    complaints = complaints or list(_contradictions(resolved))
    if complaints:
        raise InputError("; ".join(complaints))
    if resolved["eval"]["baselines"] is None:
        names = schedulers_of(option_of(resolved, "env"))
        resolved["eval"]["baselines"] = [name for name in names if is_installed(name)]
    return resolved


def schedulers_of(environment: str) -> list[str]:
    """Return the schedulers that decide in an environment without having been trained."""
    classes: dict[str, Any] = dict(REGISTRY["scheduler"])
    return [name for name, cls in classes.items() if name != "policy" and cls.environment == environment]


def is_installed(scheduler: str) -> bool:
    """Tell whether a scheduler has all it needs."""
    cls: Any = REGISTRY["scheduler"].get(scheduler)
    needs = cls and cls.needs
    return needs is None or find_spec(needs) is not None


def option_of(resolved: Mapping[str, Any], group: str) -> str:
    """Return the name of the option chosen for a group.

    It is found by the node's ``_target_``; options of one class differ in a path that is their name.
    """
    node: Any = resolved
    for part in group.split("/"):
        node = node[part]
    names = [name for name, cls in REGISTRY[group].items() if _class_of(node["_target_"]) is cls]
    return next((name for name in names if name == node.get("path")), names[0])


def options_chosen(resolved: Mapping[str, Any]) -> dict[str, str]:
    """Return the option of each config group that the configuration has: environments differ in theirs."""
    return {group: option_of(resolved, group) for group in REGISTRY if _has(resolved, group)}


def _has(resolved: Mapping[str, Any], group: str) -> bool:
    node: Any = resolved
    for part in group.split("/"):
        node = node.get(part)
        if node is None:
            return False
    return True


NO_RESULT = ("tracking", "ray", "sweep", "resume")
"""Root keys that say where and under what name a run happens, and change nothing of what it finds."""


LIMITS = ("confirm", "max_jobs", "max_quantum_seconds", "patience")
"""Keys of a campaign that say how far it may go, and may be changed when it is gone on with."""


def config_hash(resolved: Mapping[str, Any]) -> str:
    """Return the hash that identifies a resolved configuration, `NO_RESULT` and `LIMITS` left out."""
    relevant = {key: value for key, value in resolved.items() if key not in NO_RESULT}
    relevant["deploy"] = {key: value for key, value in resolved["deploy"].items() if key not in LIMITS}
    return "sha256:" + sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _contradictions(resolved: Mapping[str, Any]) -> Iterator[str]:
    algo, scheduler = option_of(resolved, "algo"), option_of(resolved, "scheduler")
    learned = scheduler == "policy"
    if algo != "none" and not learned:
        yield (
            f"scheduler={scheduler} with algo={algo}: training sets scheduler=policy itself; "
            "leave scheduler out (heuristics are compared through eval.baselines), or set algo=none"
        )
    if algo != "none" and learned and resolved["scheduler"]["path"] is not None:
        yield f"scheduler.path with algo={algo}: training makes its own policy; leave one of the two out"
    if algo == "none" and learned and resolved["scheduler"]["path"] is None:
        yield "scheduler.path: needs the folder of a policy bundle, or of the run that trained it"
    yield from _deployment(resolved, algo, scheduler)
    if algo != "none" and resolved["env"].get("observation") == "flat":
        yield f"env.observation=flat with algo={algo}: the placement network reads env.observation=dict"
    yield from _environment(resolved, scheduler)


def _environment(resolved: Mapping[str, Any], scheduler: str) -> Iterator[str]:
    env, backend = option_of(resolved, "env"), option_of(resolved, "backend")
    if resolved["algo"].get("fleet_randomisation"):
        if env != "placement":
            yield f"algo.fleet_randomisation with env={env}: only env=placement has fleets"
        elif option_of(resolved, "env/workload") == "csv":
            yield (
                "algo.fleet_randomisation with env/workload=csv: the file has circuits for its own machines "
                "only; use env/workload=qce or mqt50"
            )
    known = schedulers_of(env)
    if scheduler not in {*known, "policy"}:
        yield f"scheduler={scheduler} with env={env}: choose one of {', '.join(known)}, policy"
    for name in resolved["eval"]["baselines"] or ():
        if name not in known:
            yield (
                f"eval.baselines: unknown scheduler {name!r} of env={env}; known: {', '.join(sorted(known))}"
            )
    if (env == "placement") == (backend == "none"):
        yield (
            "backend=none with env=placement: choose a fleet"
            if env == "placement"
            else f"backend={backend} with env={env}: it runs on env.machine; leave backend out"
        )


def _fields(cls: type) -> dict[str, tuple[Any, dataclasses.Field[Any]]]:
    """Return type hint (with bounds) and field of every key a YAML file may set."""
    hints = get_type_hints(cls, include_extras=True)
    return {item.name: (hints[item.name], item) for item in settable(cls)}


def _deployment(resolved: Mapping[str, Any], algo: str, scheduler: str) -> Iterator[str]:
    known = {*schedulers_of("placement"), "policy"} - {"clairvoyant"}
    deployed = option_of(resolved, "deploy")
    if deployed == "none":
        return
    if option_of(resolved, "env") != "placement":
        yield f"deploy={deployed} with env={option_of(resolved, 'env')}: only placements are deployed"
    named = resolved["deploy"]["schedulers"]
    for name in sorted(set(named) - known):
        reason = "it knows the future, which no real cloud tells" if name == "clairvoyant" else "unknown"
        yield f"deploy.schedulers: {name}: {reason}; choose among {', '.join(sorted(known))}"
    if not named and algo == "none" and scheduler == "clairvoyant":
        yield f"deploy={deployed} with scheduler=clairvoyant: it knows the future, which no real cloud tells"
    if "policy" in named and algo == "none" and scheduler != "policy":
        yield "deploy.schedulers: policy: needs scheduler=policy scheduler.path=... or a training algorithm"


def _plain_type(hint: Any) -> Any:
    """Return a type OmegaConf knows: bounds stripped, nested options as Any."""
    if get_origin(hint) is Annotated:
        hint = hint.__origin__
    nested = isinstance(hint, type) and hint.__module__.startswith("qexp.") and hint not in SECTIONS
    return Any if nested else hint


def _plain(cls: type, target: str | None) -> type:
    """Return the dataclass that Hydra merges an option's YAML into."""
    fields: list[Any] = [] if target is None else [("_target_", str, field(default=target))]
    for name, (hint, item) in _fields(cls).items():
        kind = _plain_type(hint)
        default: Any = MISSING
        if kind is not Any and item.default is not dataclasses.MISSING:
            default = item.default
        elif kind is not Any and item.default_factory is not dataclasses.MISSING:
            fields.append((name, kind, field(default_factory=item.default_factory)))
            continue
        fields.append((name, kind, field(default=default)))
    return dataclasses.make_dataclass(f"{cls.__name__}Options", fields)


def _model(cls: type) -> type[BaseModel]:
    # Keys become aliases: a key named like one of pydantic's own methods would make it warn.
    fields: dict[str, Any] = {
        f"key_{position}": (Any if _plain_type(hint) is Any else hint, Field(alias=name))
        for position, (name, (hint, _)) in enumerate(_fields(cls).items())
    }
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)


def _violations(cls: type, values: Mapping[str, Any], prefix: str) -> list[str]:
    group = prefix.replace(".", "/")
    complaints = [
        f"{prefix}{name}={values[name]}: choose an option with {group}{name}=OPTION"
        for name, (hint, _) in _fields(cls).items()
        if _plain_type(hint) is Any
        and not (isinstance(values.get(name), Mapping) and "_target_" in values[name])
    ]
    try:
        _model(cls).model_validate(dict(values))
    except ValidationError as error:
        for item in error.errors():
            key = prefix + ".".join(str(part) for part in item["loc"])
            reason = item["msg"].replace("Input should be", "must be")
            complaints.append(
                f"unknown key {key!r}"
                if item["type"] == "extra_forbidden"
                else f"{key}={item['input']}: {reason}"
            )
    return complaints


def _options(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            if "_target_" in value:
                yield f"{prefix}{key}.", value
            yield from _options(value, f"{prefix}{key}.")


def _class_of(target: str) -> type | None:
    for options in REGISTRY.values():
        for cls in options.values():
            if f"{cls.__module__}.{cls.__qualname__}" == target:
                return cls
    return None
