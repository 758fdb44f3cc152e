"""Fills the README's generated parts: the table of options, and the leaderboard of a run.

``python docs/readme.py [RUN_FOLDER]``
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

from qexp.cli import conf_dir
from qexp.config.messages import options_of
from qexp.config.option import REGISTRY, is_ours, load_options
from qexp.report.table import CODE, STRONG, Column, Table

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def options_table() -> str:
    """Return the config groups and their options as a Markdown table."""
    load_options()
    rows = []
    for group, options in options_of(conf_dir()).items():
        shipped = {name for name, cls in REGISTRY.get(group, {}).items() if is_ours(cls)} or options.keys()
        rows += [
            {"group": group, "option": name, "text": text}
            for name, text in options.items()
            if name in shipped
        ]
    columns = [
        Column("group", words=True),
        Column("option", words=True, style=lambda _: CODE),
        Column("text", "what it is", words=True),
    ]
    return Table("", columns, rows).markdown().rstrip()


def leaderboard_table(run: Path) -> str:
    """Return a run's leaderboard as a Markdown table."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    whole, change, share = "{:.0f}".format, "{:+.1f}".format, "{:.0%}".format
    columns = [
        Column("scheduler", words=True),
        Column("total_completion_time_mean", "mean", "s", whole),
        Column(("ci_low", "ci_high"), "95 % interval", format=whole),
        Column("vs_mct_pct", "vs mct", "%", change),
        Column(("vs_mct_ci_low_pct", "vs_mct_ci_high_pct"), "95 % interval", format=change),
        Column("win_rate_vs_mct", "wins vs mct", format=share),
        Column("gap_closed", "gap closed", format=share),
    ]
    training, episodes = result["training"], result["leaderboard"][0]["episodes"]
    steps, minutes = training["env_steps"] / 1e6, training["seconds"] / 60
    table = Table(
        "",
        columns,
        result["leaderboard"],
        style=lambda row: STRONG if row["scheduler"] in {"a2c", "dqn"} else "",
    )
    caption = (
        f"`python -m qexp algo=a2c env.tasks=25`, seed {result['seed']}, {episodes} paired episodes; "
        f"trained for {steps:.1f} million decisions in {minutes:.1f} minutes on two cores."
    )
    return f"{table.markdown()}\n{caption}"


def fill(text: str, part: str, content: str) -> str:
    """Replace what stands between a part's markers."""
    pattern = rf"(<!-- {part} -->\n).*?(<!-- /{part} -->)"
    filled, count = re.subn(pattern, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"README.md has no part {part!r}")
    return filled


def main() -> None:
    """Rewrite the README."""
    text = fill(README.read_text(encoding="utf-8"), "options", options_table())
    if len(sys.argv) > 1:
        run = Path(sys.argv[1])
        text = fill(text, "leaderboard", leaderboard_table(run))
        images = ROOT / "docs" / "images"
        images.mkdir(exist_ok=True)
        for name in ("completion_time.png", "gantt.png", "learning_curve.png"):
            shutil.copy(run / "plots" / name, images / name)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
