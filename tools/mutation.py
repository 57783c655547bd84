"""The score of `make mutation` by module, and each mutant that no test noticed with its difference.

    python -m tools.mutation

Reads what `mutmut run` left in mutants/.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from mutmut.stats import status_by_exit_code

NOTICED = ("killed", "timeout", "segfault", "suspicious", "caught by type check")


def main(folder: Path = Path("mutants")) -> int:
    survivors: list[str] = []
    total = Counter[str]()
    print(f"{'module':40} {'mutants':>8} {'noticed':>8} {'score':>7}")
    for meta in sorted(folder.rglob("*.py.meta")):
        codes = json.loads(meta.read_text())["exit_code_by_key"]
        if not codes:
            continue
        noticed = [name for name, code in codes.items() if status_by_exit_code[code] in NOTICED]
        survivors += sorted(codes.keys() - set(noticed))
        total += Counter(mutants=len(codes), noticed=len(noticed))
        _print(str(meta.relative_to(folder)).removesuffix(".meta"), len(codes), len(noticed))
    if not total:
        print(f"There is nothing in {folder}/: run `make mutation`.", file=sys.stderr)
        return 1
    _print("all", total["mutants"], total["noticed"])
    for name in survivors:
        shown = subprocess.run([Path(sys.executable).with_name("mutmut"), "show", name], capture_output=True, text=True)
        changed = [line for line in shown.stdout.splitlines() if line[:1] in "-+" and line[:3] not in ("---", "+++")]
        print("", name, *changed, sep="\n")
    return 0


def _print(name: str, mutants: int, noticed: int) -> None:
    print(f"{name:40} {mutants:8,} {noticed:8,} {noticed / mutants:7.1%}")


if __name__ == "__main__":
    sys.exit(main())
