"""Options of somebody else's beyond schedulers: a whole problem, half a package, a script's own class."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from cases import quick_first

ROOT = Path(__file__).parents[2]
SMALL = ("tracking=off", "plots=false", "eval.episodes=2")
QUEUE = '''
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

import qexp


@qexp.group("env/lengths")
class Lengths(qexp.Configurable):
    @abstractmethod
    def draw(self, rng, jobs): ...


@qexp.option("env/lengths")
@dataclass
class Exponential(Lengths):
    """Lengths without a memory."""

    mean: Annotated[float, Gt(0)] = 3.0

    def draw(self, rng, jobs):
        return rng.exponential(self.mean, jobs)


@qexp.option("env/lengths")
@dataclass
class Falling(Lengths):
    """The longest first."""

    def draw(self, rng, jobs):
        return np.arange(jobs, 0.0, -1.0)


@qexp.option("env")
@dataclass
class Queue(qexp.DecisionProblem):
    """In which order one machine serves its jobs."""

    has_fleet = False
    chooses = {"backend": "none", "scheduler": "in_order"}
    metric = qexp.Metric(
        environment="queue", column="flow_time", title="total flow time", unit="s", reference="in_order",
        ideal="shortest", decisions="choices", details="jobs.csv",
    )
    episode_columns = ("scheduler", "episode", "flow_time")
    task_columns = ("scheduler", "episode", "job", "end")
    machines_hash = "one machine"
    fixed_episodes = None
    of_policy = {"environment": "queue"}

    jobs: Annotated[int, Ge(1)] = 3
    lengths: Lengths = field(default_factory=Exponential)
    fleet: object = field(default=None, metadata={"runtime": True})
    held_out: int = field(default=0, metadata={"runtime": True})

    label = property(lambda self: f"{self.jobs} jobs")
    decisions = property(lambda self: self.jobs)

    def pictured(self, seed):
        return {}

    def check_evaluation(self, episodes):
        pass

    def check_training(self, fleet_seed=None):
        if self.jobs == 1:
            raise qexp.InputError("env.jobs=1: there is nothing to decide")

    def episode(self, seed, k):
        return self.lengths.draw(np.random.default_rng([seed, k]), self.jobs)

    def draw(self, rng, episodes):
        raise NotImplementedError

    def make_vector_env(self, num_envs, fleet_seed=None):
        from learning import Queues

        return Queues(self, num_envs)

    def play(self, scheduler, episode, rng):
        left, now, rows = list(range(len(episode))), 0.0, []
        while left:
            job = left.pop(scheduler.select(episode[left]))
            now += float(episode[job])
            rows.append((job, now))
        return qexp.Played((sum(end for _, end in rows),), rows)


def seen(lengths):
    """What a policy sees of those who wait: the length of each beside their mean."""
    return np.ones(1, np.float32), (lengths / lengths.mean())[:, None].astype(np.float32)


@dataclass(frozen=True)
class QueuePolicy(qexp.Policy):
    environment = "queue"
    features = {"task": ["bias"], "nodes": ["length"]}

    def act(self, lengths):
        return int(self.scores(*seen(lengths)).argmax())


@qexp.option("scheduler")
@dataclass
class InOrder(qexp.Scheduler):
    """As they came."""

    environment = "queue"

    def select(self, lengths):
        return 0


@qexp.option("scheduler")
@dataclass
class Shortest(qexp.Scheduler):
    """The shortest first."""

    environment = "queue"

    def select(self, lengths):
        return int(np.argmin(lengths))
'''
LEARNING = """
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import lines


class Queues(VectorEnv):
    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "prior_feature": 0}

    def __init__(self, problem, num_envs):
        self.problem, self.num_envs = problem, num_envs
        self.single_observation_space = Dict(
            task=Box(-np.inf, np.inf, (1,), np.float32),
            nodes=Box(-np.inf, np.inf, (problem.jobs, 1), np.float32),
            action_mask=Box(0, 1, (problem.jobs,), np.int8),
        )
        self.single_action_space = Discrete(problem.jobs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        if seed is not None or not hasattr(self, "rng"):
            self.rng = np.random.default_rng(seed)
        self.lengths = np.ones((self.num_envs, self.problem.jobs))
        self.waits = np.zeros((self.num_envs, self.problem.jobs), dtype=bool)
        self.over = np.ones(self.num_envs, dtype=bool)
        self.now = np.zeros(self.num_envs)
        self.begin()
        return self.observed(), {}

    def begin(self):
        for i in np.flatnonzero(self.over):
            self.lengths[i] = self.problem.lengths.draw(self.rng, self.problem.jobs)
        self.waits[self.over], self.now[self.over] = True, 0.0
        self.over = np.zeros(self.num_envs, dtype=bool)

    def observed(self):
        nodes = np.zeros((*self.waits.shape, 1), np.float32)
        for i, waits in enumerate(self.waits):
            if waits.any():
                nodes[i, waits] = lines.seen(self.lengths[i, waits])[1]
        mask = np.where(self.waits.any(axis=1, keepdims=True), self.waits, True).astype(np.int8)
        return {"task": np.ones((self.num_envs, 1), np.float32), "nodes": nodes, "action_mask": mask}

    def step(self, actions):
        ran = ~self.over
        self.begin()
        rows = np.flatnonzero(ran)
        self.now[rows] += self.lengths[rows, actions[rows]]
        self.waits[rows, actions[rows]] = False
        reward = np.where(ran, -self.now, 0.0)
        self.over = ~self.waits.any(axis=1)
        return self.observed(), reward, self.over.copy(), np.zeros(self.num_envs, dtype=bool), {}
"""
SCRIPT = '''
import sys
from dataclasses import dataclass, field

import qexp
import qexp.cli


@qexp.option("scheduler")
@dataclass
class Biased(qexp.RankingScheduler):
    """Shortest service, give or take."""

    bias: float = 0.0
    others: list[int] = field(default_factory=list)

    def cost(self, task, nodes):
        return task.service + self.bias


if __name__ == "__main__":
    sys.exit(qexp.cli.main())
'''


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = environment.pop("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "qexp" / "plugins"), known)))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def package(site: Path, name: str, text: str) -> None:
    """Install a module of options, as far as Python's metadata goes."""
    info = site / f"{name}-1.dist-info"
    info.mkdir()
    (site / f"{name}.py").write_text(text, encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[qexp.options]\n{name} = {name}\n", encoding="utf-8")


@pytest.fixture
def queue(tmp_path):
    """A folder with a problem's module and option files that name its classes and nothing else."""
    (tmp_path / "lines.py").write_text(QUEUE, encoding="utf-8")
    (tmp_path / "learning.py").write_text(LEARNING, encoding="utf-8")
    for option, name in (
        ("env/queue", "Queue"),
        ("env/lengths/falling", "Falling"),
        ("scheduler/in_order", "InOrder"),
        ("scheduler/shortest", "Shortest"),
    ):
        file = tmp_path / "conf" / f"{option}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"_target_: lines.{name}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_problem_of_ones_own_with_a_group_of_its_own(queue):
    chosen = ("--config-dir", "conf", "env=queue", "env/lengths=falling", "hydra.run.dir=run")
    ended = run(queue, "-m", "qexp", *chosen, "tracking=off", "eval.episodes=2")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = (queue / "run" / "episodes.csv").read_text(encoding="utf-8").split()
    assert {"in_order,0,14.0", "shortest,0,10.0"} <= set(rows)
    assert [path.name for path in (queue / "run" / "plots").iterdir()] == ["flow_time.png"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "said"),
    quick_first(
        [
            (("env.lengths.mean=-1",), r"env\.lengths\.mean=-1\.0: must be greater than 0"),
            (
                ("env.lengths.meen=1",),
                r"unknown key 'env\.lengths\.meen'; did you mean 'env\.lengths\.mean'.*",
            ),
            (("scheduler=mct",), r"scheduler=mct with env=queue: choose one of in_order, shortest, policy"),
            (("algo=a2c", "env.jobs=1"), r"env\.jobs=1: there is nothing to decide"),
        ]
    ),
)
def test_what_is_wrong_with_its_settings_is_one_line(queue, choice, said):
    ended = run(queue, "-m", "qexp", "--config-dir", "conf", "env=queue", *choice, *SMALL)
    assert ended.returncode == 2
    assert re.fullmatch(f"qexp: {said}\n", ended.stderr), ended.stderr


@pytest.mark.slow
def test_a_class_brings_what_goes_with_it(queue):
    ended = run(queue, "-m", "qexp", "env._target_=lines.Queue", "env.jobs=2", *SMALL, "hydra.run.dir=run")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "in_order" in ended.stdout


@pytest.mark.slow
def test_a_policy_is_trained_in_it_and_loaded_again(queue):
    trained = ("env=queue", "env.jobs=5", "algo=a2c", "algo.env_steps=20000", *SMALL, "hydra.run.dir=run")
    ended = run(queue, "-m", "qexp", "--config-dir", "conf", *trained)
    assert (ended.returncode, ended.stderr) == (0, "")
    chosen = ("env=queue", "scheduler=policy", "scheduler.path=run", "env.jobs=8", "eval.episodes=50")
    ended = run(queue, "-m", "qexp", "--config-dir", "conf", *chosen, *SMALL[:2], "hydra.run.dir=again")
    assert (ended.returncode, ended.stderr) == (0, "")
    table = pd.read_csv(queue / "again" / "leaderboard.csv").set_index("scheduler")["flow_time_mean"]
    assert table["shortest"] <= table["policy"] < table["in_order"]
    asked = "import numpy as np, qexp, lines; print(qexp.load_policy('run').act(np.array([3.0, 1.0, 2.0])))"
    loaded = run(queue, "-c", asked)
    assert loaded.stdout == "1\n"
    alone = run(queue, "-c", "import qexp; qexp.load_policy('run')")
    assert "is for env=queue, which is not known here: import the module" in alone.stderr


@pytest.mark.slow
def test_its_sweep_is_reported_by_its_own_metric_in_another_process(queue):
    sweep = ("-m", "env=queue", "seed=0,1", "sweep=both")
    ended = run(queue, "-m", "qexp", "--config-dir", "conf", *sweep, *SMALL)
    assert (ended.returncode, ended.stderr) == (0, "")
    table = queue / "outputs" / "sweeps" / "both" / "sweep.csv"
    table.unlink()
    ended = run(queue, "-m", "qexp", "report", "outputs/sweeps/both")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "flow_time_mean" in table.read_text(encoding="utf-8").partition("\n")[0]


@pytest.mark.slow
def test_of_a_package_that_breaks_off_nothing_is_taken(tmp_path):
    package(tmp_path, "lines", f"{QUEUE}\nraise RuntimeError\n")
    ended = run(tmp_path, "-m", "qexp", "--help", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 0
    assert ended.stderr == "qexp: the options of lines are left out: lines: RuntimeError\n"
    assert not any(word in ended.stdout for word in ("queue", "shortest", "env/lengths"))


@pytest.mark.slow
def test_a_file_may_set_values_of_an_installed_option(tmp_path):
    package(tmp_path, "lines", QUEUE)
    (tmp_path / "conf" / "env").mkdir(parents=True)
    (tmp_path / "conf" / "env" / "queue.yaml").write_text("jobs: 7\n", encoding="utf-8")
    shown = ("--config-dir", "conf", "env=queue", "--cfg", "job", "-p", "env")
    ended = run(tmp_path, "-m", "qexp", *shown, PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "jobs: 7" in ended.stdout
    assert "mean: 3.0" in ended.stdout


@pytest.mark.slow
def test_a_shell_is_offered_what_a_folder_names(queue):
    typed = "qexp --config-dir conf scheduler=sho"
    ended = run(queue, "-m", "qexp", "-sc", "query=bash", COMP_LINE=typed, COMP_POINT=str(len(typed)))
    assert "scheduler=shortest" in ended.stdout.split()


@pytest.mark.slow
def test_a_shell_is_offered_options_and_no_schemas(queue):
    typed = "qexp --config-dir conf scheduler="
    ended = run(queue, "-m", "qexp", "-sc", "query=bash", COMP_LINE=typed, COMP_POINT=str(len(typed)))
    offered = ended.stdout.split()
    assert {"scheduler=mct", "scheduler=shortest"} <= set(offered)
    assert not [word for word in offered if "schema" in word]


@pytest.mark.slow
def test_nothing_is_printed_into_a_line_that_is_completed(tmp_path):
    package(tmp_path, "broken", "raise RuntimeError")
    asked = {"COMP_LINE": "qexp scheduler=mc", "COMP_POINT": "17", "PYTHONPATH": str(tmp_path)}
    ended = run(tmp_path, "-m", "qexp", "-sc", "query=bash", **asked)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == ["scheduler=mct"]


@pytest.mark.slow
def test_a_script_s_own_class_goes_to_other_processes(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    chosen = ("-m", "scheduler=biased,mct", "eval.baselines=[mct]", "env.tasks=4", *launcher)
    ended = run(tmp_path, "script.py", *chosen, *SMALL)
    assert ended.returncode == 0, ended.stderr
    assert "2 of 2 jobs completed" in ended.stdout
