"""Writing down what a run found: files, pictures, and the tracker's entry."""

from __future__ import annotations

from qexp.algo.checkpoint import drop_memories
from qexp.config.plots import plot_format
from qexp.runfolder import CHECKPOINTS, COMPLETED, FAILED, PLANNED
from qexp.stages.record import Result, log_result, write_files, write_plots
from qexp.stages.stage import Stage


class Report(Stage):
    """Writes the run folder; `log` gives it to the tracker."""

    def prepare(self) -> None:
        """Nothing can be refused here."""

    def run(self) -> None:
        """Write all files; result.json comes last."""
        work, roster = self.work, self.work.roster
        assert work.evaluation is not None
        status, error = self._outcome()
        work.result = Result(
            work.folder.path, work.rows, work.training, work.tracker.run_id, work.deployment, status, error
        )
        kind = plot_format(work.resolved["plots"])
        if kind is not None and not work.evaluation.episodes.empty:
            seed = work.resolved["eval"]["seed"]
            learned = None if roster.learned in work.evaluation.failed else roster.learned
            write_plots(work.result, work.evaluation, work.problem, seed, learned, kind)
        write_files(work.result, work.evaluation, work.identity, work.folder, roster.chosen)
        drop_memories(work.folder.path / CHECKPOINTS)

    def log(self) -> None:
        """Give the tracker what the files say: the run is complete and on disk, whatever becomes of that."""
        work = self.work
        assert work.result is not None
        log_result(
            work.result,
            work.tracker,
            work.problem,
            decider=work.roster.chosen,
            drawn=bool(work.resolved["plots"]),
        )

    def _outcome(self) -> tuple[str, str | None]:
        """Return what the run has come to, see `Result`, and why it failed if it did."""
        work, chosen = self.work, self.work.roster.chosen
        assert work.evaluation is not None
        if (reason := work.evaluation.failed.get(chosen)) is not None:
            return FAILED, f"{chosen} failed: {reason}"
        if work.planned:
            return PLANNED, None
        if work.deployment is not None and not work.deployment["tasks"].get("done"):
            return FAILED, "no task of the campaign was done"
        return COMPLETED, None
