"""The evaluation: its tables add up, and every scheduler meets the same episodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from qexp.config.composition import register
from qexp.config.option import REGISTRY
from qexp.errors import InputError
from qexp.placement.placement import PLACEMENT, Placement
from qexp.placement.schedulers.mct import MCT
from qexp.placement.schedulers.random import Random
from qexp.placement.workload.csv_file import CSV
from qexp.problem.scheduler import Scheduler, schedulers_of
from qexp.report.leaderboard import leaderboard
from qexp.stages.evaluation import evaluate

register()
HEURISTICS = sorted(schedulers_of("placement"))
EPISODES = 4


def all_schedulers():
    return {name: REGISTRY["scheduler"][name]() for name in HEURISTICS}


@pytest.fixture(scope="module", params=[True, False], ids=["mask", "no mask"])
def measured(request, qce25):
    """All heuristics on the same episodes; refusals cost 1.5 s and machines start with work."""
    scenario = replace(qce25, tasks=12, mask=request.param, rescheduling_delay=1.5, initial_backlog=2.0)
    return scenario, evaluate(scenario, all_schedulers(), episodes=EPISODES, seed=4)


def test_every_scheduler_has_every_episode_and_every_task(measured):
    _, evaluation = measured
    assert tuple(evaluation.episodes.columns) == Placement.episode_columns
    assert tuple(evaluation.tasks.columns) == Placement.task_columns
    assert len(evaluation.episodes) == len(HEURISTICS) * EPISODES
    assert not evaluation.episodes.duplicated(["scheduler", "episode"]).any()
    counts = evaluation.tasks.groupby(["scheduler", "episode"])["task"].apply(list)
    assert len(counts) == len(HEURISTICS) * EPISODES
    assert all(tasks == list(range(12)) for tasks in counts)


def test_a_tasks_times_add_up(measured):
    scenario, evaluation = measured
    tasks = evaluation.tasks
    assert (tasks["wait"] >= 0).all()
    assert np.allclose(tasks["placement"], tasks["arrival"] + tasks["delay"], rtol=0, atol=1e-9)
    assert np.allclose(tasks["start"], tasks["placement"] + tasks["wait"], rtol=0, atol=1e-9)
    assert np.allclose(tasks["finish"], tasks["start"] + tasks["service"], rtol=0, atol=1e-9)
    assert np.allclose(tasks["delay"], 1.5 * tasks["reschedules"])
    assert (tasks["start"] >= 2.0).all()  # the backlog
    assert (tasks["reschedules"].sum() > 0) == (not scenario.mask)
    assert tasks["esp"].between(0, 1).all()
    qubits = dict(zip(scenario.fleet.names, scenario.fleet.qubits, strict=True))
    assert (tasks["width"] <= tasks["node"].map(qubits)).all()


def test_an_episodes_totals_are_its_tasks(measured):
    _, evaluation = measured
    tasks = evaluation.tasks.groupby(["scheduler", "episode"])
    episodes = evaluation.episodes.set_index(["scheduler", "episode"])
    for total, part in {
        "rescheduling_delay": "delay",
        "total_wait": "wait",
        "total_service": "service",
        "reschedules": "reschedules",
    }.items():
        assert np.allclose(episodes[total], tasks[part].sum().loc[episodes.index], rtol=1e-12)
    parts = episodes["rescheduling_delay"] + episodes["total_wait"] + episodes["total_service"]
    assert np.allclose(episodes["total_completion_time"], parts, rtol=1e-12)
    # Completion time is also what passes between arrival and finish.
    passed = (evaluation.tasks["finish"] - evaluation.tasks["arrival"]).groupby(
        [evaluation.tasks["scheduler"], evaluation.tasks["episode"]]
    )
    assert np.allclose(episodes["total_completion_time"], passed.sum().loc[episodes.index])
    makespan = tasks["finish"].max() - tasks["arrival"].min()
    assert np.allclose(episodes["makespan"], makespan.loc[episodes.index])
    assert np.allclose(episodes["mean_esp"], tasks["esp"].mean().loc[episodes.index])
    assert (episodes["tasks"] == 12).all()


def test_machines_work_on_one_task_at_a_time_in_order_of_placement(measured):
    _, evaluation = measured
    for _, queue in evaluation.tasks.groupby(["scheduler", "episode", "node"]):
        ordered = queue.sort_values(["placement", "start"], kind="stable")
        assert (ordered["start"].to_numpy()[1:] >= ordered["finish"].to_numpy()[:-1]).all()


def test_all_schedulers_meet_the_same_tasks(measured):
    scenario, evaluation = measured
    given = ["episode", "task", "circuit", "width", "shots", "arrival"]
    groups = [rows[given].reset_index(drop=True) for _, rows in evaluation.tasks.groupby("scheduler")]
    for other in groups[1:]:
        pd.testing.assert_frame_equal(groups[0], other)
    expected = [t for k in range(EPISODES) for t in scenario.episode(4, k).arrival]
    assert groups[0]["arrival"].tolist() == expected


def test_a_schedulers_results_depend_on_no_other_scheduler(measured):
    scenario, evaluation = measured
    for names in (["random"], ["weighted", "random", "mct"]):
        few = evaluate(scenario, {n: REGISTRY["scheduler"][n]() for n in names}, episodes=EPISODES, seed=4)
        for name in names:
            pd.testing.assert_frame_equal(
                few.episodes[few.episodes["scheduler"] == name].reset_index(drop=True),
                evaluation.episodes[evaluation.episodes["scheduler"] == name].reset_index(drop=True),
            )


def test_fewer_episodes_are_the_first_ones(measured):
    scenario, evaluation = measured
    few = evaluate(scenario, {"random": Random()}, episodes=2, seed=4).episodes
    whole = evaluation.episodes.query("scheduler == 'random' and episode < 2")
    pd.testing.assert_frame_equal(few, whole.reset_index(drop=True))


def test_a_random_scheduler_chooses_otherwise_in_each_episode_and_seed(qce25):
    def nodes(seed):
        tasks = evaluate(qce25, {"random": Random()}, episodes=2, seed=seed).tasks
        return [tuple(rows["node"]) for _, rows in tasks.groupby("episode")]

    assert len({*nodes(0), *nodes(1)}) == 4


def test_subsets_of_different_lengths(write_dataset, make_fleet, tmp_path):
    rows = [(s, "ghz", 2 + r, {7: 100, 27: 90}) for s, size in enumerate((1, 4, 2)) for r in range(size)]
    workload = CSV(path=str(write_dataset(tmp_path / "tasks.csv", rows)))
    scenario = Placement(make_fleet([7, 27]), workload=workload, tasks=3)
    evaluation = evaluate(scenario, all_schedulers(), episodes=3, seed=0)
    assert evaluation.episodes.groupby("episode")["tasks"].unique().tolist() == [[1], [3], [2]]
    with pytest.raises(InputError, match=r"eval\.episodes=4"):
        evaluate(scenario, {"mct": MCT()}, episodes=4, seed=0)


def test_progress_is_told_scheduler_by_scheduler(qce25):
    done = []
    evaluate(qce25, {"a": MCT(), "b": Random()}, episodes=1, seed=0, on_scheduler=done.append)
    assert done == ["a", "b"]


class Stubborn(Scheduler):
    """Insists on the smallest machine."""

    def select(self, task, nodes):
        return int(nodes.qubits.argmin())


def test_a_task_refused_for_ever_ends_its_schedulers_evaluation_and_no_others(qce25):
    scenario = replace(qce25, mask=False, max_refusals=20)
    found = evaluate(scenario, {"stubborn": Stubborn(), "mct": MCT()}, episodes=1, seed=0)
    assert found.failed.keys() == {"stubborn"}
    assert found.failed["stubborn"].startswith("env.max_refusals: Stubborn had a task refused 20 times")
    assert set(found.episodes["scheduler"]) == {"mct"}
    *others, failed = leaderboard(found.episodes, PLACEMENT, failed=found.failed)
    assert (failed.scheduler, failed.record(PLACEMENT)["total_completion_time_mean"]) == ("stubborn", None)
    assert [row.scheduler for row in others] == ["mct"]
