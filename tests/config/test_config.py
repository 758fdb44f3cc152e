"""Every config option composes, and its YAML file, its dataclass and its schema say the same."""

from __future__ import annotations

import dataclasses
from functools import reduce
from pathlib import Path

import pytest
import yaml
from cases import quick_first
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from qexp.cli import conf_dir
from qexp.config import files
from qexp.config.composition import register
from qexp.config.identity import config_hash, option_of
from qexp.config.messages import options_of
from qexp.config.option import REGISTRY, entries, is_ours, option_name
from qexp.config.root import Config, EvalConfig
from qexp.config.schema import validate
from qexp.problem.problem import metrics
from qexp.problem.scheduler import schedulers_of

register()
CONF = conf_dir()
OPTIONS = [
    (group, name)
    for group, names in options_of(CONF).items()
    for name in names
    if group == "experiment" or is_ours(REGISTRY[group][name])  # other tests register some of their own
]
ONE_PER_GROUP = list({group: (group, name) for group, name in reversed(OPTIONS)}.values())
CHOICES = [(group, name) for group, name in OPTIONS if group != "experiment"]
GATES = ["env=gate_scheduling"]
# What a user must say besides the choice itself.
NEEDED = {
    ("backend", "file"): ["backend.path=fleet.yaml"],
    ("env/workload", "csv"): ["env.workload.path=tasks.csv"],
    ("scheduler", "policy"): ["scheduler.path=policy"],
    ("backend", "none"): GATES,
    ("env/circuits", "basic"): GATES,
    ("env/circuits", "workshop"): GATES,
    ("env/circuits", "mqt"): GATES,
    ("env/circuits", "qasm"): [*GATES, "env.circuits.path=circuit.qasm"],
    **{("scheduler", name): GATES for name in schedulers_of("gate_scheduling")},
    ("tracking", "server"): ["tracking.uri=http://localhost:5000"],
}


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def settings(group: str, name: str) -> dict[str, object]:
    """What an option's YAML file sets, without its defaults list."""
    content = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key != "defaults"}


def configurable(cls: type) -> dict[str, dataclasses.Field[object]]:
    return {f.name: f for f in dataclasses.fields(cls) if f.init and not f.metadata.get("runtime")}


def default(field: dataclasses.Field[object]) -> object:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


@pytest.mark.parametrize(
    ("group", "name"),
    quick_first(sorted(OPTIONS, key=lambda each: each not in ONE_PER_GROUP), len(ONE_PER_GROUP)),
)
def test_every_option_composes_and_passes_the_checks(group: str, name: str):
    config = composed(f"{group}={name}", *NEEDED.get((group, name), []))
    resolved = validate(config)
    if group != "experiment":
        assert option_of(resolved, group) == name


def test_the_options_are_the_ones_promised():
    groups: dict[str, set[str]] = {}
    for group, name in OPTIONS:
        groups.setdefault(group, set()).add(name)
    assert groups["backend"] >= {"qce5", "ibm13", "heron", "synthetic", "file"}
    assert groups["env"] >= {"placement", "gate_scheduling"}
    assert groups["env/circuits"] >= {"basic", "workshop", "mqt", "qasm"}
    assert groups["env/workload"] >= {"qce", "mqt50", "csv"}
    assert groups["env/arrivals"] >= {"uniform", "poisson", "qsimpy"}
    assert groups["env/service_time"] >= {"clops_depth", "repetition_delay"}
    assert groups["env/reward"] >= {"completion", "inverse", "weighted"}
    heuristics = "random round_robin greedy greedy_error least_busy mct met fidelity weighted clairvoyant"
    of_gates = "asap alap critical_path randomised_critical_path cp_sat"
    assert groups["scheduler"] >= {*heuristics.split(), *of_gates.split(), "policy"}
    assert groups["tracking"] >= {"local", "off"}


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_option_file_opens_with_its_schema(group: str, name: str):
    content = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
    assert name in REGISTRY[group]
    assert content["defaults"][0] == f"{name}_schema"
    assert content["defaults"][-1] == "_self_"


def test_every_registered_option_has_a_file():
    registered = {(group, name) for group, options in REGISTRY.items() for name in options}
    registered = {(group, name) for group, name in registered if is_ours(REGISTRY[group][name])}
    assert registered - set(CHOICES) == set()


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_yaml_values_are_the_dataclass_defaults(group: str, name: str):
    cls, values = REGISTRY[group][name], settings(group, name)
    nested = {sub.rpartition("/")[2] for sub in REGISTRY if sub.startswith(f"{group}/")}
    fields = {key: field for key, field in configurable(cls).items() if key not in nested}
    assert values.keys() == fields.keys()
    for key, field in fields.items():
        declared = default(field)
        if str(values[key]).startswith("${"):  # follows another key, which has its own default
            node = validate(composed(f"{group}={name}", *NEEDED.get((group, name), [])))
            values[key] = reduce(dict.__getitem__, group.split("/"), node)[key]
        if declared is dataclasses.MISSING:  # the file decides, or the user must
            assert values[key] is not None
        else:
            assert values[key] == declared, key
            assert type(values[key]) is type(declared) or declared is None, key


@pytest.mark.parametrize("env", REGISTRY["env"])
def test_options_built_in_python_choose_the_same_parts_as_the_files(env):
    content = yaml.safe_load((CONF / "env" / f"{env}.yaml").read_text(encoding="utf-8"))
    defaults = {k: v for part in content["defaults"] if isinstance(part, dict) for k, v in part.items()}
    chosen = {key: value for key, value in defaults.items() if not key.startswith("override ")}
    fields = configurable(REGISTRY["env"][env])
    groups = {sub.rpartition("/")[2] for sub in REGISTRY if sub.startswith("env/")}
    assert chosen.keys() == groups & fields.keys()
    for part, option in chosen.items():
        assert fields[part].default_factory is REGISTRY[f"env/{part}"][option]


def test_the_option_files_are_what_make_conf_writes(capsys):
    assert (files.main(["--check"]), capsys.readouterr().out) == (0, "")


def test_the_root_file_sets_the_root_defaults():
    content = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    assert (content["seed"], content["plots"]) == (Config().seed, Config().plots)
    assert content["eval"]["episodes"] == EvalConfig().episodes
    assert content["eval"].keys() == configurable(EvalConfig).keys()
    assert content["eval"]["baselines"] is EvalConfig().baselines is None


@pytest.mark.parametrize("env", REGISTRY["env"])
def test_without_a_list_all_schedulers_of_the_environment_are_compared(env):
    resolved = validate(composed(f"env={env}"))
    assert [name for name, _ in entries(resolved["eval"]["baselines"])] == schedulers_of(env)
    assert option_of(resolved, "scheduler") == metrics()[env].reference
    assert {metrics()[env].reference, metrics()[env].ideal} <= set(schedulers_of(env))
    assert sum(name in schedulers_of(other) for other in metrics() for name in schedulers_of(env)) == len(
        schedulers_of(env)
    )


def test_nothing_is_missing_from_the_default_config():
    resolved = validate(composed())
    assert resolved["env"]["tasks"] == 25
    assert resolved["eval"]["seed"] == resolved["seed"] == 0
    assert option_of(resolved, "scheduler") == "mct"
    assert option_of(resolved, "algo") == "none"


def test_the_evaluation_seed_follows_the_seed_until_it_is_fixed():
    assert validate(composed("seed=7"))["eval"]["seed"] == 7
    assert validate(composed("seed=7", "eval.seed=3"))["eval"]["seed"] == 3


@pytest.mark.slow
def test_what_is_sampled_on_this_computer_is_narrow_unless_one_says_otherwise():
    def widest(*overrides: str) -> int:
        return validate(composed(*overrides))["env"]["workload"]["max_width"]

    assert widest() == 27
    assert widest("env/workload=mqt50") == 50
    assert widest("deploy=local") == widest("deploy=local", "env/workload=mqt50") == 8
    assert widest("deploy=local", "deploy.max_width=6") == 6
    assert widest("deploy=local", "env.workload.max_width=10") == 10
    assert widest("deploy=simulator") == 27
    csv = validate(composed("deploy=local", "env/workload=csv", "env.workload.path=mine.csv"))
    assert "max_width" not in csv["env"]["workload"]


def test_a_fleet_of_ones_own_is_the_option_file():
    assert option_of(validate(composed("backend=file", "backend.path=mine.yaml")), "backend") == "file"


@pytest.mark.slow
def test_the_config_hash_is_of_what_changes_results():
    plain = config_hash(validate(composed()))
    assert config_hash(validate(composed("tracking=off"))) == plain
    assert config_hash(validate(composed("seed=0", "env/reward=completion"))) == plain
    assert config_hash(validate(composed("env.tasks=26"))) != plain


def test_resolved_configs_are_plain():
    text = OmegaConf.to_yaml(OmegaConf.create(validate(composed())))
    assert "${" not in text
    assert "???" not in text


@pytest.mark.parametrize(
    ("class_name", "name"),
    [("RoundRobin", "round_robin"), ("MQT50", "mqt50"), ("QCE", "qce"), ("MCT", "mct")],
)
def test_option_names_are_class_names_in_snake_case(class_name: str, name: str):
    assert option_name(class_name) == name


def test_every_option_file_says_in_its_first_line_what_it_is():
    for group, name in OPTIONS:
        first = (CONF / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# "), Path(group) / name
        assert len(options_of(CONF)[group][name]) > 10
