"""Command line of the benchmarks: ``python -m benchmarks [NAMES ...] [--quick] [--out FILE]``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import warnings
from pathlib import Path

NAMES = ("env", "engine", "policy", "startup", "sweep", "a2c", "dqn", "cluster", "gates", "campaign")


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a page of tables; return the exit status, which no figure can change."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure speed on this machine."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAMES", help=f"which of {', '.join(NAMES)}; default: all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a try-out in a minute or two; its figures mean little"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of every numerical library (default: 1)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="also write the page, Markdown, to this file"
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]}; there are {', '.join(NAMES)}")
    # Before NumPy and Torch are imported: they look at it once.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(options.threads)

    # RLlib registers its environment anew for every algorithm, and Gymnasium says so.
    warnings.filterwarnings("ignore", message=".*Overriding environment")

    from benchmarks.measure import FULL, QUICK
    from benchmarks.report import machine, page

    effort = QUICK if options.quick else FULL
    facts = [*machine(), f"Threads of every numerical library: {options.threads}"]
    if options.quick:
        facts.append("Made with --quick: too short to be compared with anything")
    groups = {}
    for name in options.names or NAMES:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        groups[name] = importlib.import_module(f"benchmarks.{name}").measure(effort)
        print(f"measured {name} in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        text = page(groups, facts)
        if options.out:
            options.out.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
