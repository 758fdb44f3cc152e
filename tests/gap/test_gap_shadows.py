"""Agreement of schedulers that were asked without effect with those that placed."""

from __future__ import annotations

import pytest
from campaigns import as_predicted, campaign, toy_fidelity

from qexp.gap.gap import measure
from qexp.gap.measure.records import records
from qexp.gap.measure.shadows import Shadow, gap_shadows
from qexp.gap.show.tables import shadows
from qexp.placement.schedulers.greedy import Greedy
from qexp.placement.schedulers.mct import MCT


@pytest.fixture
def journal(qce25, tmp_path):
    with campaign(
        tmp_path / "journal.db", qce25, {"mct": MCT(), "greedy": Greedy()}, blocks=1, truth=as_predicted
    ) as made:
        yield made


def other(node, names):
    return next(name for name in sorted(names) if name != node)


def test_agreement_is_the_share_of_tasks_placed_alike(journal, qce25):
    tasks = journal.tasks()
    mine = [task for task in tasks if task.scheduler == "mct"]
    for k, task in enumerate(mine):
        elsewhere = other(task.node, qce25.fleet.names)
        journal.add_shadow(task, {"twin": task.node, "met": elsewhere if k < 5 else task.node})
    twin, met = gap_shadows(records(journal, toy_fidelity), journal.shadows())
    assert twin == Shadow("mct", "twin", len(mine), 1.0, None, None, 0)
    assert (met.shadow, met.tasks, met.agreement) == ("met", 25, pytest.approx(20 / 25))
    differences = [(task.node, other(task.node, qce25.fleet.names)) for task in mine[:5]]
    assert met.times == max(map(differences.count, differences))
    assert differences.count((met.chosen, met.instead)) == met.times


def test_tasks_that_were_never_placed_are_passed_over(journal):
    first, second, *_ = journal.tasks()
    node, first.node = first.node, None
    journal.save(first, 0.0, "")
    journal.add_shadow(first, {"met": node})
    journal.add_shadow(second, {"met": second.node})
    (row,) = gap_shadows(records(journal, toy_fidelity), journal.shadows())
    assert (row.tasks, row.agreement) == (1, 1.0)


def test_report_table_and_metrics_tell_of_shadows(journal, qce25, schedulers):
    task = journal.tasks()[0]
    elsewhere = other(task.node, qce25.fleet.names)
    journal.add_shadow(task, {"met": elsewhere})
    gap = measure(journal, qce25, schedulers, toy_fidelity)
    table = shadows(gap)
    (cells,) = ([column.text(row, "..") for column in table.columns] for row in table.rows)
    assert cells == [task.scheduler, "met", f"1 x {elsewhere} for {task.node}", "1", "0%"]
    assert gap.metrics()[f"gap/shadow/{task.scheduler}/met/agreement"] == 0
    (told,) = gap.to_json()["shadows"]
    assert (told["chosen"], told["instead"]) == (task.node, elsewhere)
