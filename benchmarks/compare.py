"""What changed between two files of ``benchmarks/steps.py`` by more than their noise.

    python benchmarks/compare.py BEFORE.json AFTER.json

Multiples of the reference are compared, not milliseconds, so that two machines or two hours may be. A change counts where it
is larger than the noise of both files together, and than 3 %. The exit code is 1 where something became slower.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

LEAST = 0.03
"""Changes below this share are never told."""


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, float, str]]:
    """Each measurement of both: its name, after as a share of before, and ``faster``, ``slower`` or ``same``."""
    rows = []
    for name, old in before["measurements"].items():
        if name not in after["measurements"]:
            continue
        new = after["measurements"][name]
        difference = new["ratio"] - old["ratio"]
        noise = max(old["noise"] + new["noise"], LEAST * old["ratio"])
        verdict = "same"
        if difference < -noise:
            verdict = "faster"
        elif difference > noise:
            verdict = "slower"
        rows.append((name, new["ratio"] / old["ratio"], verdict))
    return rows


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    chosen = parser.parse_args(arguments)
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in (chosen.before, chosen.after))
    rows = changes(before, after)
    print("| method, phase | after / before | |\n|---|---|---|")
    for name, share, verdict in rows:
        print(f"| {name} | {share:.2f} | {verdict} |")
    for name in sorted(set(before["measurements"]) ^ set(after["measurements"])):
        print(f"| {name} | | in one file only |")
    return int(any(verdict == "slower" for _, _, verdict in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
