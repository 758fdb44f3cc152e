import re
import shutil
import struct
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from cases import quick_first
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from qexp.cli import conf_dir
from qexp.config.composition import register
from qexp.config.identity import config_hash
from qexp.config.schema import validate
from qexp.fleet.fleet import Fleet, load_fleet
from qexp.placement.placement import PLACEMENT, Placement
from qexp.placement.plots import gantt, utilisation
from qexp.report import plots
from qexp.report.plots import completion_time, learning_curve


def problem(*more: str) -> Placement:
    """Placement on the usual five machines and further ones, of a kind that fits every circuit."""
    nodes = load_fleet("qce5").nodes
    widest = max(nodes, key=lambda node: node.qubits)
    further = (widest.model_copy(update={"name": name, "machine": widest.name}) for name in more)
    return Placement(Fleet("test", (*nodes, *further)))


def png_size(path):
    """Width and height from the header, pixels."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def ink(path):
    """Share of pixels that are not white, and whether any of them touches the border (something was cut)."""
    from PIL import Image

    pixels = np.asarray(Image.open(path).convert("L")) < 250
    border = pixels[0].any() or pixels[-1].any() or pixels[:, 0].any() or pixels[:, -1].any()
    return pixels.mean(), border


def assert_drawn(path):
    share, touches_the_border = ink(path)
    assert png_size(path)[0] == 1800
    assert share > 0.01
    assert not touches_the_border


@pytest.mark.slow
def test_a_run_gets_every_plot_there_is_data_for(episodes, tasks, training, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it raises
    before = mpl.rcParams.copy()
    paths = plots.write(
        tmp_path / "plots",
        problem("idle"),
        episodes=episodes,
        tasks=tasks,
        seed=0,
        training=training,
        learned="a2c",
    )
    assert [path.name for path in paths] == [
        "learning_curve.png",
        "completion_time.png",
        "gantt.png",
        "utilisation.png",
    ]
    for path in paths:
        assert_drawn(path)
    assert mpl.rcParams.copy() == before


@pytest.mark.slow
def test_heuristics_alone_need_no_mct_and_no_training(episodes, tasks, tmp_path):
    kept = ["met", "greedy"]
    paths = plots.write(
        tmp_path,
        problem("idle"),
        episodes=episodes[episodes["scheduler"].isin(kept)],
        tasks=tasks[tasks["scheduler"].isin(kept)],
        seed=0,
    )
    assert [path.name for path in paths] == ["completion_time.png", "gantt.png", "utilisation.png"]
    for path in paths:
        assert_drawn(path)


@pytest.mark.slow
def test_the_same_data_give_the_same_file(episodes, tmp_path):
    for name in ("a.png", "b.png"):
        completion_time.plot(episodes, tmp_path / name, PLACEMENT, learned="a2c")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("rows", [1, 3])
def test_a_short_training_is_drawn_too(training, tmp_path, rows):
    learning_curve.plot(
        training.head(rows), tmp_path / "curve.png", PLACEMENT, reference=1080.0, learned="dqn"
    )
    assert_drawn(tmp_path / "curve.png")


def test_a_training_in_which_no_episode_finished_is_drawn_too(training, tmp_path):
    column = "episode_total_completion_time_mean"
    for unfinished in (training.assign(**{column: np.nan}), training.drop(columns=column)):
        learning_curve.plot(unfinished.head(3), tmp_path / "curve.png", PLACEMENT, learned="dqn")
        assert_drawn(tmp_path / "curve.png")


@pytest.mark.slow
def test_single_episode_and_large_fleet(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "scheduler": name,
            "episode": 7,
            "task": k,
            "node": f"ibm_node_{rng.integers(200)}",
            "arrival": 0.5 * k,
            "placement": 0.5 * k,
            "start": 0.5 * k + 3,
            "finish": 0.5 * k + 9,
            "service": 6.0,
        }
        for name in ("mct", "a2c")
        for k in range(150)
    ]
    tasks = pd.DataFrame(rows)
    episodes = pd.DataFrame(
        {"scheduler": ["mct", "a2c"], "episode": [7, 7], "total_completion_time": [1350.0, 1350.0]}
    )
    large = problem(*(f"ibm_node_{k}" for k in range(200)))
    for path in plots.write(tmp_path, large, episodes=episodes, tasks=tasks, seed=0, learned="a2c"):
        assert_drawn(path)
        assert png_size(path)[1] < 4000


def test_utilisation_by_hand():
    tasks = pd.DataFrame(
        {
            "scheduler": ["mct"] * 5,
            "episode": [0, 0, 0, 1, 1],
            "node": ["a", "a", "b", "b", "b"],
            "arrival": [60.0, 61.0, 62.0, 0.0, 1.0],
            "finish": [64.0, 70.0, 66.0, 2.0, 4.0],
            "service": [4.0, 4.0, 4.0, 2.0, 2.0],
        }
    )
    # Episode 0 lasts from 60 to 70: a is busy for 8 of 10 s, b for 4. Episode 1 lasts 4 s, all of them b's.
    share = utilisation.utilisation(tasks)
    assert share.loc["mct", "a"] == pytest.approx((0.8 + 0.0) / 2)
    assert share.loc["mct", "b"] == pytest.approx((0.4 + 1.0) / 2)


def test_gantt_of_tasks_that_never_wait(tasks, tmp_path):
    first = tasks[(tasks["scheduler"] == "mct") & (tasks["episode"] == 0)].head(1)
    gantt.plot(first, tmp_path / "gantt.png", episode=0, schedulers=["mct"])
    assert_drawn(tmp_path / "gantt.png")


QUIET = ("plots=false", "tracking=off", "eval.episodes=2")


@pytest.mark.parametrize(
    "command",
    quick_first(
        [
            ["env.tasks=4", "eval.baselines=[mct]", "deploy=simulator", "deploy.tasks=2"],
            ["env=gate_scheduling", "scheduler=asap", "eval.baselines=[critical_path]"],
            ["-m", "env.tasks=4", "eval.baselines=[mct]", "deploy=simulator", "deploy.tasks=2", "seed=0,1"],
            ["-m", "env.tasks=4", "eval.baselines=[mct]", "seed=0,1", "++plots=false"],
            ["-m", "env.tasks=4", "eval.baselines=[mct]", "seed=0,1", "plots=no"],
        ]
    ),
    ids=["campaign", "gates", "campaigns", "forced", "no"],
)
def test_without_plots_nothing_is_drawn(command, qexp):
    ended = qexp(*QUIET, *command)
    assert ended.status == 0, ended.err
    assert list(Path().rglob("result.json"))
    assert [path for path in Path().rglob("*") if path.suffix in {".png", ".svg", ".pdf"}] == []


MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAGIC)
def test_the_same_data_give_the_same_file_in_every_format(kind, episodes, tmp_path, python):
    code = (
        "import sys, pandas as pd; from pathlib import Path; from qexp.report.plots import completion_time\n"
    )
    code += "from qexp.placement.placement import PLACEMENT\n"
    code += "completion_time.plot(pd.read_pickle('rows.pkl'), Path(sys.argv[1]), PLACEMENT, learned='a2c')"
    episodes.to_pickle(tmp_path / "rows.pkl")
    completion_time.plot(episodes, tmp_path / f"here.{kind}", PLACEMENT, learned="a2c")
    ended = python("-c", code, f"there.{kind}", cwd=tmp_path)
    assert (ended.status, ended.err) == (0, "")
    content = (tmp_path / f"here.{kind}").read_bytes()
    assert content.startswith(MAGIC[kind])
    assert (tmp_path / f"there.{kind}").read_bytes() == content
    assert not re.search(rb"CreationDate|<dc:date>|Matplotlib v|/Type3", content)


def test_other_formats_are_refused(episodes, tmp_path):
    with pytest.raises(ValueError, match="pictures are png, pdf, svg"):
        completion_time.plot(episodes, tmp_path / "a.jpg", PLACEMENT)


ONE = ("tracking=off", "env.tasks=4", "eval.episodes=2", "eval.baselines=[mct]")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pdf", "svg"])
def test_plots_are_written_in_the_format_asked_for(kind, qexp):
    campaign = ("deploy=simulator", "deploy.tasks=6", "deploy.block=3")
    assert qexp(*ONE, *campaign, f"plots.format={kind}", "hydra.run.dir=run").status == 0
    drawn = list(Path("run/plots").iterdir())
    assert {path.suffix for path in drawn} == {f".{kind}"}
    assert {"completion_time", "gantt", "gap_tasks", "gap_schedulers"} <= {path.stem for path in drawn}
    assert all(path.read_bytes().startswith(MAGIC[kind]) for path in drawn)
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == sum(path.stem.startswith("gap_") for path in drawn)
    for path in drawn:
        path.unlink()
    assert qexp("gap", "run").status == 0
    assert {path for path in drawn if path.stem.startswith("gap_")} == set(Path("run/plots").iterdir())


@pytest.mark.parametrize(
    "typed",
    quick_first(
        [
            "plots.format=jpg",
            "plots=jpg",
            "plots={format:jpg}",
            "plots={form:pdf}",
            "plots=null",
            "+plots.format=[pdf]",
        ],
        2,
    ),
)
@pytest.mark.parametrize("multirun", quick_first([[], ["-m", "seed=1,2"]]), ids=["run", "sweep"])
def test_what_is_no_format_is_refused_in_a_line_that_names_them(typed, multirun, qexp):
    ended = qexp(*multirun, *ONE, typed)
    assert ended.status == 2
    assert re.fullmatch(r"qexp: plots=.*: must be true, false, png, pdf or svg\n", ended.err), ended.err
    assert list(Path().rglob("*.json")) == []


def test_how_plots_are_written_makes_no_other_run():
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        composed = OmegaConf.to_container(compose("config", [*ONE, "plots=true"]), resolve=True)
    before = config_hash(validate(composed))
    for value in (True, "yes", 1, "png", "pdf", {"format": "svg"}):
        resolved = validate(composed | {"plots": value})
        assert resolved["plots"] in {True, "pdf", "svg"}
        assert config_hash(resolved) == before
    none = [validate(composed | {"plots": value}) for value in (False, "no", 0)]
    assert all(resolved["plots"] is False for resolved in none)
    assert config_hash(none[0]) != before


@pytest.mark.slow
def test_an_option_file_may_choose_the_format(qexp):
    Path("mine/experiment").mkdir(parents=True)
    head = "# @package _global_\n"
    Path("mine/experiment/paper.yaml").write_text(head + "plots: {format: svg}\n", encoding="utf-8")
    Path("mine/experiment/quiet.yaml").write_text(head + "plots: false\n", encoding="utf-8")
    for preset, typed, suffixes in (
        ("paper", [], {".svg"}),
        ("quiet", [], set()),
        ("quiet", ["plots.format=pdf"], {".pdf"}),
        ("paper", ["plots=false"], set()),
    ):
        shutil.rmtree("run", ignore_errors=True)
        ended = qexp("--config-dir", "mine", f"experiment={preset}", *ONE, *typed, "hydra.run.dir=run")
        assert ended.status == 0, ended.err
        assert {path.suffix for path in Path("run").glob("plots/*")} == suffixes


@pytest.mark.slow
def test_a_sweep_s_figure_is_drawn_in_another_format_without_running_it_again(qexp):
    sweep = ("-m", *ONE, "seed=0,1")
    assert qexp(*sweep).status == 0
    (folder,) = Path("outputs/sweeps").iterdir()
    ended = qexp(*sweep, "plots.format=svg")
    assert (ended.status, ended.out.count("done before")) == (0, 2), ended.err
    assert list(Path("outputs/sweeps").iterdir()) == [folder]
    assert (folder / "sweep.svg").read_bytes().startswith(MAGIC["svg"])
    (folder / "sweep.svg").unlink()
    assert qexp("report", str(folder)).status == 0
    assert (folder / "sweep.svg").is_file()
    refused = qexp(*sweep, f"sweep={folder.name}", "plots=false")
    assert "plots was True, now False" in refused.err
