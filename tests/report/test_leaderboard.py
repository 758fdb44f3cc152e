import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from qexp.gates.gate_scheduling import GATE_SCHEDULING
from qexp.placement.placement import PLACEMENT
from qexp.report import leaderboard as report
from qexp.report.leaderboard import render


def table(**times):
    """Episode rows from each scheduler's total completion times."""
    return pd.DataFrame(
        [
            {"scheduler": name, "episode": k, "total_completion_time": value, "reschedules": k}
            for name, values in times.items()
            for k, value in enumerate(values)
        ]
    )


def leaderboard(episodes, metric=PLACEMENT, **settings):
    return report.leaderboard(episodes, metric, **settings)


def metrics(rows, metric=PLACEMENT):
    return report.metrics(rows, metric)


def by_name(rows):
    return {row.scheduler: row for row in rows}


def test_golden_rows():
    rows = leaderboard(
        table(
            greedy=[130.0, 120.0, 110.0, 120.0, 120.0],
            mct=[100.0, 110.0, 90.0, 100.0, 100.0],
            a2c=[90.0, 115.0, 85.0, 95.0, 90.0],
            clairvoyant=[80.0, 80.0, 80.0, 80.0, 80.0],
        )
    )
    assert [row.scheduler for row in rows] == ["clairvoyant", "a2c", "mct", "greedy"]
    a2c = by_name(rows)["a2c"]
    assert a2c.episodes == 5
    assert a2c.mean == pytest.approx(95.0)
    assert a2c.iqm == pytest.approx((90 + 90 + 95) / 3)
    assert a2c.change_pct == pytest.approx(-5.0)
    assert a2c.win_rate == 0.8
    assert a2c.gap_closed == pytest.approx((100 - 95) / (100 - 80))
    assert a2c.counted == 2.0
    assert 85.0 < a2c.ci_low < 95.0 < a2c.ci_high < 115.0
    assert a2c.change_ci_low_pct < -5.0 < a2c.change_ci_high_pct
    assert by_name(rows)["greedy"].gap_closed == pytest.approx(-1.0)
    clairvoyant = by_name(rows)["clairvoyant"]
    assert (clairvoyant.gap_closed, clairvoyant.ci_low, clairvoyant.ci_high) == (1.0, 80.0, 80.0)


def test_the_references_own_row():
    row = by_name(leaderboard(table(mct=[100.0, 110.0, 90.0], met=[200.0, 210.0, 190.0])))["mct"]
    assert (row.change_pct, row.change_ci_low_pct, row.change_ci_high_pct) == (0.0, 0.0, 0.0)
    assert row.win_rate == 0.5
    assert row.gap_closed is None


def test_what_is_undefined_is_none():
    rows = by_name(leaderboard(table(met=[2.0, 3.0], clairvoyant=[1.0, 2.0])))
    met = rows["met"].record(PLACEMENT)
    undefined = {"vs_mct_pct", "vs_mct_ci_low_pct", "vs_mct_ci_high_pct", "win_rate_vs_mct", "gap_closed"}
    assert {key for key, value in met.items() if value is None} == undefined
    assert not undefined & {name.split("/")[-1] for name in metrics(list(rows.values()))}
    # A clairvoyant search that did not find the way to beat the reference defines no gap.
    assert by_name(leaderboard(table(mct=[1.0, 1.0], clairvoyant=[1.0, 1.0])))["mct"].gap_closed is None
    one = by_name(leaderboard(table(mct=[2.0], met=[3.0])))["met"]
    assert (one.change_pct, one.ci_low, one.ci_high, one.change_ci_low_pct) == (50.0, None, None, None)


@pytest.mark.slow
def test_order_of_the_input_does_not_matter(episodes):
    shuffled = episodes.sample(frac=1.0, random_state=3)
    assert leaderboard(shuffled, seed=1) == leaderboard(episodes, seed=1)
    assert leaderboard(episodes, seed=2) != leaderboard(episodes, seed=1)


def test_unpaired_episodes_are_refused(episodes):
    with pytest.raises(ValueError, match=r"not paired.*greedy"):
        leaderboard(episodes[(episodes["scheduler"] != "greedy") | (episodes["episode"] > 0)])
    with pytest.raises(ValueError, match="duplicate"):
        leaderboard(pd.concat([episodes, episodes.head(1)]))


def test_metrics_are_grouped_by_scheduler():
    flat = metrics(leaderboard(table(mct=[1.0, 3.0], a2c=[1.0, 1.0])))
    assert flat["eval/a2c/total_completion_time_mean"] == 1.0
    assert flat["eval/mct/total_completion_time_mean"] == 2.0
    assert flat["eval/a2c/episodes"] == 2.0
    assert all(isinstance(value, float) for value in flat.values())


def printed(rows, learned, width):
    out = io.StringIO()
    Console(file=out, width=width, color_system="truecolor", force_terminal=True).print(
        render(rows, PLACEMENT, learned)
    )
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_and_cuts_nothing(episodes, width):
    named = episodes.replace({"scheduler": {"met": "greedy_error"}})
    lines = printed(leaderboard(named), "a2c", width).splitlines()
    assert not any("…" in line for line in lines)
    assert any("greedy_error" in line for line in lines)


def test_the_table_highlights_the_learned_row_alone(episodes):
    lines = printed(leaderboard(episodes), "a2c", 100).splitlines()
    green = [line for line in lines if "\x1b[1;32m" in line]
    assert len(green) == 1
    assert "a2c" in green[0]


def judge(learned, **times):
    episodes = table(**times)
    return report.verdict(leaderboard(episodes), episodes, learned, PLACEMENT)


def test_verdicts():
    mct = [100.0, 120.0, 80.0, 90.0, 110.0, 100.0]
    worse, better = [value * 1.1 for value in mct], [value * 0.9 for value in mct]
    assert judge("a2c", mct=mct, met=worse, a2c=better, clairvoyant=[1.0] * 6) == (
        "a2c beats the best heuristic, mct: -10.0 % total completion time "
        "(95 % interval -10.0 to -10.0, 6 paired episodes)."
    )
    assert judge("a2c", mct=mct, a2c=worse).startswith(
        "a2c is NOT better than the best heuristic, mct: +10.0 %"
    )
    # Better than mct, but mct is not the best heuristic here.
    assert judge("a2c", mct=worse, fidelity=better, a2c=mct).startswith(
        "a2c is NOT better than the best heuristic, fidelity"
    )
    mixed = [101.0, 119.0, 81.0, 89.0, 111.0, 99.5]
    assert judge("a2c", mct=mct, a2c=mixed).startswith(
        "a2c cannot be told from the best heuristic, mct: +0.1 %"
    )
    assert judge("a2c", mct=mct, a2c=mct).startswith(
        "a2c cannot be told from the best heuristic, mct: +0.0 %"
    )
    assert (
        judge("a2c", mct=[2.0], a2c=[1.0])
        == "One episode cannot tell a2c from mct: -50.0 % total completion time."
    )
    assert "alone" in judge("a2c", a2c=mct, clairvoyant=better)
    with pytest.raises(ValueError, match="dqn"):
        judge("dqn", mct=mct)


def schedules(**makespans: list[float]) -> pd.DataFrame:
    """Gate schedules whose optimum is that of cp_sat, in episode 0 not proved."""
    rows = [
        {"scheduler": name, "episode": k, "makespan": value, "over_optimum": value / makespans["cp_sat"][k]}
        | {"optimum_proved": k > 0}
        for name, values in makespans.items()
        for k, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_ratios_to_the_optimum_by_hand():
    episodes = schedules(
        critical_path=[20.0, 30.0, 11.0, 10.0],
        policy=[10.0, 33.0, 10.0, 10.0],
        cp_sat=[10.0, 30.0, 10.0, 10.0],
    )
    rows = by_name(leaderboard(episodes, GATE_SCHEDULING))
    assert rows["policy"].ratio == pytest.approx((1 + 1.1 + 1 + 1) / 4)
    assert rows["policy"].optimal == rows["policy"].proved == 0.75
    assert rows["policy"].change_pct == pytest.approx(100 * (63 / 71 - 1))
    assert rows["critical_path"].ratio == pytest.approx((2 + 1 + 1.1 + 1) / 4)
    assert 1 <= rows["policy"].ratio_ci_low < rows["policy"].ratio < rows["policy"].ratio_ci_high
    assert (rows["cp_sat"].ratio_ci_low, rows["cp_sat"].ratio_ci_high) == (1, 1)
    flat = metrics(list(rows.values()), GATE_SCHEDULING)
    assert flat["eval/policy/over_optimum"] == rows["policy"].ratio
    assert flat["eval/policy/optimum_proved_share"] == 0.75
    assert not [name for name in flat if "reschedules" in name or "mct" in name]
    sentence = report.verdict(list(rows.values()), episodes, "policy", GATE_SCHEDULING)
    assert sentence.startswith(
        "policy cannot be told from the best heuristic, critical_path: -11.3 % makespan"
    )


@pytest.mark.slow
def test_the_interval_of_a_ratio_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        ratios = rng.choice([1.0, 1.1, 1.3], p=[0.5, 0.3, 0.2], size=60)
        row = by_name(
            leaderboard(schedules(cp_sat=[10.0] * 60, asap=(10 * ratios).tolist()), GATE_SCHEDULING)
        )["asap"]
        hits += row.ratio_ci_low <= 1.09 <= row.ratio_ci_high
    assert hits >= 178  # 95 % of 200, less four standard deviations


def test_shares_of_a_gap_that_is_nearly_nothing_are_recorded_and_not_printed_as_absurd_numbers():
    rows = leaderboard(table(mct=[100.0, 100.0], clairvoyant=[99.5, 99.5], random=[400.0, 400.0]))
    assert by_name(rows)["random"].gap_closed == pytest.approx(-600)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render(rows, PLACEMENT))
    printed = console.export_text()
    assert "<-999%" in printed
    assert "60000%" not in printed
