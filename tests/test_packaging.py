"""The wheel works anywhere: it carries configuration and data, and its command runs outside the checkout."""

from __future__ import annotations

import os
import re
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


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command away from the checkout's import path and return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
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
    assert any(name.startswith("qexp/workload/data/") for name in names)


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


def test_a_package_of_options_is_installed_beside_it(installed: Path, tmp_path: Path):
    page = (ROOT / "docs" / "own-options.md").read_text(encoding="utf-8")
    code = re.search(r"<!-- floor.py -->\n```python\n(.*?)```", page, re.DOTALL)[1]
    entry = re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1]
    source = tmp_path / "mine"
    source.mkdir()
    (source / "floor.py").write_text(code, encoding="utf-8")
    head = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
    head += '[project]\nname = "mine"\nversion = "1"\n\n'
    head += '[tool.hatch.build.targets.wheel]\nonly-include = ["floor.py"]\n\n'
    (source / "pyproject.toml").write_text(head + entry, encoding="utf-8")
    pip = (sys.executable, "-m", "pip")
    offline = ("--no-deps", "--no-index")
    run(*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", tmp_path, source, cwd=tmp_path)
    (built,) = tmp_path.glob("mine-*.whl")
    run(*pip, "--python", installed / "bin" / "python", "install", *offline, built, cwd=tmp_path)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    small = ("eval.episodes=2", "eval.baselines=[mct]", "tracking=off", "plots=false", "hydra.run.dir=run")
    run(installed / "bin" / "qexp", "scheduler=floor_mct", "scheduler.floor=0.2", *small, cwd=elsewhere)
    assert "floor_mct floor=0.2" in (elsewhere / "run" / "leaderboard.csv").read_text(encoding="utf-8")
    assert "floor_mct" in run(installed / "bin" / "qexp", "--help", cwd=elsewhere)


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
