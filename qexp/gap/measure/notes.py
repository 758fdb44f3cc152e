"""Notes that a reader of a gap report needs beside its figures, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from qexp.gap.calibrate.holdout import HoldOut
from qexp.gap.measure.clusters import FEWEST
from qexp.gap.measure.records import Record, left_out, undisturbed
from qexp.gap.measure.schedulers import FEWEST_RANKED, SchedulerGap
from qexp.problem.scheduler import Scheduler


def of_tasks(rows: Sequence[Record]) -> Iterator[str]:
    """Yield which tasks are in no figure, or not in all."""
    counted = [row for row in rows if row.counted]
    if lost := len(rows) - len(counted):
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out(rows).items())
        yield f"{lost} of {len(rows)} tasks are in no figure: {reasons}."
    if not counted:
        done = sum(row.left_out == "no times" for row in rows)
        known = f"{done} tasks are done, but their times are not known" if done else "No task was completed"
        yield f"{known}: there is nothing to compare."
        return
    if blocks := sorted({row.block for row in rows if row.interrupted}):
        where = f"block{'s' if len(blocks) > 1 else ''} {', '.join(map(str, blocks))}"
        yield (
            f"The campaign was interrupted and resumed in {where}, and completion times there hold the time "
            "in between: "
            + (
                "the comparison of schedulers and the calibration are without them, for all schedulers."
                if len(undisturbed(rows)) < len(rows)
                else "as there is nothing else, the comparison of schedulers and the calibration hold it too."
            )
        )
    if unsplit := sum(not row.split for row in counted):
        yield (
            f"Of {unsplit} of {len(counted)} completed tasks it is not known when they ran: their gap is in "
            "the part 'unknown', and they are in no figure of waiting or execution."
        )
    if unknown := sum(not row.has_fidelity for row in counted):
        yield (
            f"{unknown} of {len(counted)} completed tasks have no fidelity to hold against ESP: no counts, "
            "or no ideal distribution that tells signal from noise."
        )


def of_schedulers(
    rows: Sequence[Record], gaps: Sequence[SchedulerGap], schedulers: Mapping[str, Scheduler]
) -> Iterator[str]:
    """Yield what stands in the way of comparing schedulers.

    Args:
        rows: All records.
        gaps: The schedulers' figures.
        schedulers: Who could be simulated.
    """
    ran = list(dict.fromkeys(row.scheduler for row in rows if row.counted))
    if not ran:
        return
    if idle := [name for name in dict.fromkeys(row.scheduler for row in rows) if name not in ran]:
        yield f"Completed no task, and left out of the comparison: {', '.join(idle)}."
    if absent := [name for name in ran if name not in schedulers]:
        yield f"Cannot be simulated, as there is no such scheduler, or not any more: {', '.join(absent)}."
    if not gaps:
        yield "No task was completed by all schedulers: they cannot be compared."
        return
    if len(ran) == 1:
        yield f"{ran[0]} ran alone: there is no order of schedulers to agree on."
    elif len(ran) < FEWEST_RANKED:
        yield f"Only {len(ran)} schedulers ran: so few agree in their order easily by chance."
    if len(ran) > 1 and gaps[0].blocks < FEWEST:
        yield f"Fewer than {FEWEST} blocks: differences between schedulers have no intervals."


def of_calibration(held: HoldOut) -> Iterator[str]:
    """Yield what the calibration made worse on the half of the campaign that it was not fitted to."""
    before, after = held.total_before.error_pct, held.total_after.error_pct
    if before is not None and after is not None and abs(after) > abs(before):
        yield (
            "Calibration did not help: the predicted total completion time of the second half is off by "
            f"{after:+z.1f} % with it, by {before:+z.1f} % without."
        )
