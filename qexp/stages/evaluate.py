"""Comparing all deciders on the same unseen episodes."""

from __future__ import annotations

from qexp.report.leaderboard import leaderboard, render, verdict
from qexp.report.progress import evaluation_progress
from qexp.stages.evaluation import evaluate
from qexp.stages.evaluations import Evaluations
from qexp.stages.stage import Stage


class Evaluate(Stage):
    """Evaluates, and prints the leaderboard."""

    def prepare(self) -> None:
        """Refuse more episodes than there are."""
        self.work.problem.check_evaluation(self.work.resolved["eval"]["episodes"])

    def run(self) -> None:
        """Play the episodes."""
        work, settings, metric = self.work, self.work.resolved["eval"], self.work.problem.metric
        deciders = work.roster.evaluated
        with evaluation_progress(len(deciders), work.console) as done:
            found = work.evaluation = evaluate(
                work.problem,
                deciders,
                episodes=settings["episodes"],
                seed=settings["seed"],
                on_scheduler=done,
                shared=self._shared(),
            )
        work.rows = leaderboard(found.episodes, metric, seed=settings["seed"], failed=found.failed)
        learned = work.roster.learned
        work.console.print(render(work.rows, metric, learned))
        if learned is not None:
            work.say(verdict(work.rows, found.episodes, learned, metric), style="bold")

    def _shared(self) -> Evaluations | None:
        """Return where evaluations are shared; the chosen scheduler's are not, as its keys may differ."""
        work, settings = self.work, self.work.resolved["eval"]
        if work.shared is None:
            return None
        depends_on = {key: getattr(work.identity, key) for key in ("fleet_hash", "versions", "git_commit")}
        depends_on |= {"env": work.resolved["env"], "eval": [settings["episodes"], settings["seed"]]}
        return Evaluations(work.shared, depends_on, work.roster.shared)
