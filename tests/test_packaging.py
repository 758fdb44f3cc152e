"""The wheel works anywhere: it carries configuration and data, and its command runs outside the checkout."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def clean() -> dict[str, str]:
    """Return the environment without what leads to the checkout."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command away from the checkout's import path and return what it printed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", params=["checkout", "sdist"])
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the checkout, or from nothing but the source distribution; without a network."""
    out = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", out)
    if request.param == "checkout":
        run(*build, "--wheel", ROOT, cwd=out)
    else:
        run(*build, "--sdist", ROOT, cwd=out)
        (sdist,) = out.glob("*.tar.gz")
        pip = (sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation")
        run(*pip, "--wheel-dir", out, sdist, cwd=out)
    (built,) = out.glob("*.whl")
    return built


def files(folder: Path) -> set[str]:
    """The files of a folder of the checkout, relative to the folder's parent, without caches."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder.parent).as_posix() for path in found}


def test_wheel_is_the_package_and_the_configuration(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    here = files(ROOT / "qexp")
    plugins = {name for name in here if name.startswith("qexp/plugins/")}
    moved = {name.removeprefix("qexp/plugins/") for name in plugins}
    assert names == here - plugins | moved | {f"qexp/{name}" for name in files(ROOT / "conf")}
    # A file at the top of it would hide every other package's Hydra plugins.
    assert all(name.startswith("hydra_plugins/qexp_") for name in moved)
    assert "qexp/py.typed" in names
    assert any(name.startswith("qexp/circuits/data/") for name in names)


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """An environment with the wheel in it."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    # The dependencies are those of the environment under test. They come after the wheel on the path, and
    # .pth files among them (an editable qexp) are not followed.
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return environment


OFFLINE = ("--no-deps", "--no-index")
DIES = """
import os
import signal
from pathlib import Path

decide, decided = FloorMCT.select, []


def select(self, task, nodes):
    if "DIES" in os.environ and Path("campaign/journal.db").exists():
        decided.append(task)
        if len(decided) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
    return decide(self, task, nodes)


FloorMCT.select = select
"""
MODULES = {
    "floor": ("own-options.md", "floor.py", {"scheduler/floor_mct": "FloorMCT"}),
    "shop": ("own-options.md", "shop.py", {"env/reward/on_time": "OnTime", "env/workload/ghz": "Ghz"}),
    "anchored": ("training.md", "own algorithm", {"algo/anchored": "Anchored"}),
}
SCRIPT = """
import sys

import anchored, floor, shop
import qexp.cli

if __name__ == "__main__":
    sys.exit(qexp.cli.main())
"""


def write_modules(folder: Path) -> None:
    """Write the modules that the pages show; the scheduler dies where it is told to."""
    folder.mkdir(exist_ok=True)
    for name, (page, block, _) in MODULES.items():
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        code = re.search(rf"<!-- {re.escape(block)} -->\n```python\n(.*?)```", text, re.DOTALL)[1]
        (folder / f"{name}.py").write_text(code + (DIES if name == "floor" else ""), encoding="utf-8")


def install_package(environment: Path, scratch: Path) -> None:
    """Build a package of the modules, with entry points, and install its wheel."""
    source = scratch / "mine"
    write_modules(source)
    modules = [f"{name}.py" for name in MODULES]
    text = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
    text += '[project]\nname = "mine"\nversion = "1"\n\n[project.entry-points."qexp.options"]\n'
    text += "".join(f'{name} = "{name}"\n' for name in MODULES)
    text += f"\n[tool.hatch.build.targets.wheel]\nonly-include = {modules}\n"
    (source / "pyproject.toml").write_text(text, encoding="utf-8")
    pip = (sys.executable, "-m", "pip")
    run(*pip, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", scratch, source, cwd=scratch)
    (built,) = scratch.glob("mine-*.whl")
    run(*pip, "--python", environment / "bin" / "python", "install", *OFFLINE, built, cwd=scratch)


def write_option_files(folder: Path) -> None:
    """Write a configuration folder whose files say nothing but where the classes are."""
    for module, (_, _, options) in MODULES.items():
        for option, name in options.items():
            file = folder / f"{option}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"_target_: {module}.{name}\n", encoding="utf-8")


@pytest.mark.parametrize("way", ["package", "files", "python"])
@pytest.mark.parametrize("wheel", ["checkout"], indirect=True)
def test_options_from_outside_work_beside_it(installed: Path, tmp_path: Path, way: str):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command: tuple[str | Path, ...] = (installed / "bin" / "qexp",)
    if way == "package":
        install_package(installed, tmp_path)
        assert "floor_mct" in run(*command, "--help", cwd=elsewhere)
    else:
        write_modules(elsewhere)
    if way == "files":
        write_option_files(elsewhere / "conf")
        command = (*command, "--config-dir", "conf")
    if way == "python":
        (elsewhere / "main.py").write_text(SCRIPT, encoding="utf-8")
        command = (installed / "bin" / "python", "main.py")
    chosen = ("env/workload=ghz", "env/reward=on_time", "env.tasks=5")
    small = (*chosen, "eval.episodes=2", "eval.baselines=[mct,floor_mct]", "tracking=off", "plots=false")

    training = ("algo=anchored", "algo.env_steps=1000", "algo.num_envs=8", "algo.hidden=8")
    run(*command, *training, *small, "hydra.run.dir=training", cwd=elsewhere)
    config = yaml.safe_load((elsewhere / "training" / "config.yaml").read_text(encoding="utf-8"))
    names = (config["algo"], config["env"]["workload"], config["env"]["reward"])
    assert [node["_option_"] for node in names] == ["anchored", "ghz", "on_time"]
    rows = (elsewhere / "training" / "leaderboard.csv").read_text(encoding="utf-8")
    assert {"anchored", "mct", "floor_mct"} <= {line.partition(",")[0] for line in rows.splitlines()}

    jobs = ("-m", "scheduler=floor_mct,mct", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert "2 of 2 jobs completed" in run(*command, *jobs, *small, cwd=elsewhere)

    campaign = ("deploy=simulator", "deploy.tasks=8", "deploy.schedulers=[floor_mct,mct]")
    typed = (*command, "scheduler=floor_mct", *campaign, *small, "hydra.run.dir=campaign")
    killed = subprocess.run(
        [str(part) for part in typed],
        cwd=elsewhere,
        env={**clean(), "DIES": "1"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (elsewhere / "campaign" / "report.html").exists()
    run(*command, "resume=campaign", cwd=elsewhere)
    page = elsewhere / "campaign" / "report.html"
    page.unlink()
    run(installed / "bin" / "qexp", "gap", "campaign", cwd=elsewhere)
    assert "floor_mct" in page.read_text(encoding="utf-8")


def test_command_runs_from_an_installed_wheel(installed: Path, tmp_path: Path):
    environment, python = installed, installed / "bin" / "python"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    imported = run(python, "-c", "import qexp; print(qexp.__file__)", cwd=elsewhere).strip()
    assert Path(imported).is_relative_to(environment)
    job = yaml.safe_load(run(environment / "bin" / "qexp", "--cfg", "job", "env.tasks=7", cwd=elsewhere))
    assert job["env"]["tasks"] == 7
    assert {"algo", "backend", "eval", "scheduler", "seed"} <= job.keys()
    launcher = ("--cfg", "hydra", "-p", "hydra.launcher", "hydra/launcher=ray")
    assert "RayLauncher" in run(environment / "bin" / "qexp", *launcher, cwd=elsewhere)
    assert list(elsewhere.iterdir()) == [], "printing the configuration must leave nothing behind"
