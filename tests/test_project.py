"""The rules that keep the code one road through a few rooms: who imports whom, sizes, names, comments."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

import qexp

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "qexp").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
OPTIONS = sorted((ROOT / "conf").rglob("*.y*ml"))

# From the ground up; a room imports only rooms of earlier rows, and itself.
LAYERS = [
    ["errors"],
    ["config"],
    ["problem", "runfolder"],
    ["fleet"],
    ["circuits"],
    ["gates", "placement"],
    ["algo", "report"],
    ["policy", "tracking"],
    ["deploy"],
    ["gap"],
    ["stages"],
    ["experiment"],
    ["api", "options", "sweep"],
    ["cli", "plugins"],
    ["__main__", "env"],
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
FORMER = ("backend/", "workload/", "policy/extract.py", "deploy/gap.py")
"""Former names of commands and modules: each imports what it now is, and nothing imports it."""

# Heavy or foreign packages and the only places that may know them (path prefixes below qexp/).
CATALOGUE_BUILD = ("circuits/build", "circuits/compilation.py")
IBM = ("fleet/ibm", "fleet/calibration.py", "deploy/executors/ibm/")
HOMES = {
    "ray": ("algo/", "plugins/hydra_plugins/qexp_ray_launcher/_tasks.py"),
    "mlflow": ("tracking/",),
    "qiskit": (
        *IBM,
        *CATALOGUE_BUILD,
        "gates/qiskit_circuits.py",
        "circuits/compiled.py",
        "deploy/executors/local/noise.py",
    ),
    "qiskit_aer": ("deploy/executors/local/noise.py",),
    "qiskit_ibm_runtime": (*IBM, *CATALOGUE_BUILD),
    "mqt": (*CATALOGUE_BUILD, "gates/qiskit_circuits.py"),
    "ortools": ("gates/schedulers/optimum.py",),
}
POLICY_MAY_IMPORT = {"numpy", "torch", "safetensors", "yaml", "qexp"}


def name(path: Path) -> str:
    """A test id: the path below the repository root."""
    return path.relative_to(ROOT).as_posix()


def room(path: Path) -> str:
    """The package or module of qexp a file belongs to."""
    return path.relative_to(ROOT / "qexp").parts[0].removesuffix(".py")


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and dotted name of everything a module imports, inside functions and for type checking too."""
    dotted: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            dotted += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            dotted += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return tuple(dotted)


def module(path: Path) -> str:
    """The dotted name of a file's module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {module(path) for path in MODULES}


@cache
def imported(path: Path) -> frozenset[str]:
    """The modules of qexp that a file imports, wherever in it."""
    dotted = {dotted for _, dotted in imports(path) if dotted.partition(".")[0] == "qexp"}
    return frozenset(each if each in NAMES else each.rpartition(".")[0] for each in dotted) - {"qexp"}


def test_nothing_imports_upwards():
    wrong = []
    for path in MODULES:
        here = room(path)
        inside = path.relative_to(ROOT / "qexp").as_posix()
        if here == "__init__":
            known = {"importlib", "typing.Any"}
            assert {dotted for _, dotted in imports(path)} == known, "importing qexp must cost nothing"
            continue
        if inside.startswith(FORMER):
            continue
        assert here in LEVEL, f"give the room qexp/{here} its place in LAYERS"
        there = {each.split(".")[1] for each in imported(path)} - {here}
        wrong += [f"{inside}: qexp.{each}" for each in there if LEVEL[each] >= LEVEL[here]]
    assert wrong == []


def test_no_files_import_each_other():
    left = {module(path): imported(path) - {module(path)} for path in MODULES}
    # Take away, again and again, what imports nothing that is left: circles remain.
    while ready := [each for each, its in left.items() if not its & left.keys()]:
        for each in ready:
            del left[each]
    assert sorted(left) == []


def test_the_core_does_without_the_qgym_surface():
    users = {module(path) for path in MODULES if any("gates.qgym" in each for each in imported(path))}
    assert {each for each in users if not each.startswith("qexp.gates.qgym")} == {"qexp.env.gate_scheduling"}


def test_folders_are_small():
    folders = {path.parent for path in MODULES}
    sizes = {name(folder): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: size for folder, size in sizes.items() if size > 25} == {}
    assert sizes["qexp"] <= 10


def test_heavy_packages_stay_in_their_rooms():
    wrong = []
    for path in MODULES:
        inside = path.relative_to(ROOT / "qexp").as_posix()
        for line, dotted in imports(path):
            homes = HOMES.get(dotted.split(".")[0])
            if homes is not None and not inside.startswith(homes):
                wrong.append(f"{name(path)}:{line}: {dotted} belongs in {homes}")
    assert wrong == []


def test_tests_stand_alone_and_mirror_the_packages():
    wrong = []
    for path in TESTS:
        here = name(path)
        if path.name.startswith("test_") and path.parent != ROOT / "tests":
            folder = path.parent.relative_to(ROOT / "tests")
            if not (ROOT / "qexp" / folder).is_dir():
                wrong.append(f"{here}: qexp has no folder {folder}")
        for line, dotted in imports(path):
            package = dotted.partition(".")[0]
            measured = package == "benchmarks" and here != "tests/test_benchmarks.py"
            if measured or package.startswith("test_") or package in {"conftest", "tests"}:
                wrong.append(f"{here}:{line}: {dotted} is no module that tests share")
    assert wrong == []


def test_a_policy_needs_only_torch_and_numpy():
    wanted = {"qexp.problem.bundle", "qexp.placement.policy", "qexp.gates.policy", "qexp.problem.network"}
    paths = {module(path): path for path in MODULES}
    reached: set[str] = set()
    while wanted:
        reached |= wanted
        wanted = set().union(*(imported(paths[each]) for each in wanted)) - reached
    for each in sorted(reached):
        for line, dotted in imports(paths[each]):
            package = dotted.partition(".")[0]
            known = package in POLICY_MAY_IMPORT or package in sys.stdlib_module_names
            # Circuits from Qiskit can be scheduled, by whoever has it.
            assert known or package in {"qiskit", "mqt"}, f"{name(paths[each])}:{line} imports {dotted}"
    assert not any(each.startswith("qexp.config") for each in reached)


@pytest.mark.parametrize(
    ("feature", "homes"), [("hydra.main", {"cli.py"}), ("hydra.utils.instantiate", set())]
)
def test_hydra_enters_through_one_door(feature: str, homes: set[str]):
    users = set()
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        nodes = ast.walk(ast.parse(text)) if "hydra" in text else ()
        used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
        if feature in used | {dotted for _, dotted in imports(path)}:
            users.add(path.relative_to(ROOT / "qexp").as_posix())
    assert users == homes


def test_files_are_short_and_named_after_what_they_do():
    paths = [path for folder in ("qexp", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    long = {name(path): lines for path in paths if (lines := len(path.read_text("utf-8").splitlines())) > 400}
    assert long == {}
    vague = {"util", "utils", "helper", "helpers", "common", "misc"}
    assert [name(path) for path in paths if vague & {part.removesuffix(".py") for part in path.parts}] == []


def public_functions(node: ast.AST) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Dotted names and definitions of a module's or class's public functions, without properties."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from ((f"{child.name}.{rest}", function) for rest, function in public_functions(child))
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in child.decorator_list}
            if decorators.isdisjoint({"property", "cached_property", "setter"}):
                yield child.name, child


def undescribed(dotted: str, function: ast.FunctionDef | ast.AsyncFunctionDef, ours: set[str]) -> list[str]:
    """Arguments without an entry, of two or more; none where the docstring names the base's method."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    names = [argument for argument in names if argument not in {"self", "cls"}]
    doc = ast.get_docstring(function) or ""
    for base in re.findall(r"[Ss]ee `([A-Z]\w*\.\w+)`", doc):
        # A base of ours is held to the rule itself; another is described where it comes from.
        known = base in ours or base.split(".")[0] not in {name.split(".")[0] for name in ours}
        if known and base != dotted and base.split(".")[1] == function.name:
            return []
    entries = set(re.findall(r"^ +(\w+):", doc.partition("Args:\n")[2], re.MULTILINE))
    return [argument for argument in names if argument not in entries] if len(names) > 1 else []


def test_docstrings_describe_the_arguments_of_public_functions():
    functions = [
        (path, dotted, function)
        for path in MODULES
        for dotted, function in public_functions(ast.parse(path.read_text(encoding="utf-8")))
    ]
    ours = {dotted for _, dotted, _ in functions}
    missing = [
        f"{name(path)}:{function.lineno} {dotted}: {', '.join(arguments)}"
        for path, dotted, function in functions
        if (arguments := undescribed(dotted, function, ours))
    ]
    assert not missing, "\n".join(missing)


def keys(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Every key that sets a value, at any depth; defaults lists and Hydra's own section are left out."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value not in {"defaults", "_target_", "hydra"}:
                if not isinstance(value, yaml.MappingNode):
                    yield key
                yield from keys(value)


def test_every_option_key_has_a_comment_above_it():
    assert OPTIONS, "conf/ holds the options"
    assert {path.suffix for path in OPTIONS} == {".yaml"}, "Hydra reads .yaml only"
    bare = []
    for path in OPTIONS:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        document = yaml.compose(text, Loader=yaml.SafeLoader)
        for key in keys(document) if document else ():
            above = lines[key.start_mark.line - 1].strip()
            if not above.startswith("#"):
                bare.append(f"{name(path)}:{key.start_mark.line + 1} {key.value}")
    assert bare == []


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == qexp.__version__


def test_the_lock_pins_everything_the_project_names_and_nothing_local():
    pins = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            package, equals, version = line.partition("==")
            assert equals, f"{line} is not an exact pin"
            assert re.fullmatch(r"[\w.]+", version), f"{line} pins a build that only exists in one place"
            pins[canonical(package)] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    named = {canonical(re.match(r"[\w.-]+", requirement).group()) for requirement in wanted}
    assert named - pins.keys() == set()


def canonical(package: str) -> str:
    """A distribution name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()
