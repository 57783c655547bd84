"""python -m engine assets | retrain | label_image | runs: what the pages do, without a browser.

Exit codes: 0 done, 1 failed, 2 bad arguments, 130 cancelled. Figures go to stdout, progress and failures to stderr.
With --json every command prints, last, one JSON object on stdout and nothing else there.
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator

from engine import assets, settings
from engine.errors import AssetError, EngineError

# Everything else is imported by the command that needs it, so that `assets` with nothing to do ends at once.

DONE, FAILED, BAD_ARGUMENTS, CANCELLED = 0, 1, 2, 130


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    lab = settings.load()
    try:
        return options.command(options, lab)
    except EngineError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return CANCELLED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description="Bottleneck Lab without a browser.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    names = ", ".join(row.name for row in assets.ASSETS)
    fetch = commands.add_parser("assets", help="fetch weights, digits and photos, or list them")
    fetch.add_argument("names", nargs="*", metavar="NAME", help=f"{names}; all but flower_photos where none is named")
    fetch.add_argument("--list", action="store_true", help="say what there is, fetch nothing")
    _add_json(fetch)
    fetch.set_defaults(command=_assets)
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, last")


def _print_json(value: dict) -> None:
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))


# --- assets ----------------------------------------------------------------------------------------------------------


def _assets(options: argparse.Namespace, lab: settings.Settings) -> int:
    names = options.names or list(assets.EMBEDDED)
    try:
        rows = [assets.asset(name) for name in names]
    except AssetError as error:
        print(error, file=sys.stderr)
        return BAD_ARGUMENTS
    missing = [] if options.list else [row for row in rows if assets.find_asset(lab.home, row) is None]
    failures = _fetch(lab, missing) if missing else []
    if options.list and not options.names:
        rows = list(assets.ASSETS)
    if options.json:
        _print_json({"assets": [_describe(lab, row) for row in rows], "failures": failures})
    elif missing or options.list:
        for row in rows:
            where = assets.find_asset(lab.home, row)
            size = assets.megabytes(row.kept_bytes if where else row.sources[0].bytes)
            print(f"{row.name:20} {'here' if where else 'not here':9} {size:>9}  {row.title} ({row.licence})")
    for failure in failures:
        print(failure, file=sys.stderr)
    return FAILED if failures else DONE


def _describe(lab: settings.Settings, row: assets.Asset) -> dict:
    path = assets.find_asset(lab.home, row)
    return {
        "name": row.name,
        "title": row.title,
        "path": str(path) if path else None,
        "bytes": row.kept_bytes,
        "sha256": row.sha256,
        "licence": row.licence,
        "attribution": row.attribution,
        "sources": [source.title for source in row.sources],
    }


def _fetch(lab: settings.Settings, rows: list[assets.Asset]) -> list[str]:
    """Fetch two at a time behind one bar; return what went wrong."""
    import concurrent.futures

    arrived = {row.name: 0 for row in rows}
    total = sum(row.sources[0].bytes for row in rows)
    failures = []

    def fetch(row: assets.Asset) -> None:
        def progress(done: int, of: int) -> None:
            # Another source of the same bytes may be larger or smaller than the first.
            arrived[row.name] = row.sources[0].bytes * done // of

        assets.fetch_asset(lab.home, row, progress)
        arrived[row.name] = row.sources[0].bytes

    with _bar() as bar, concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(fetch, row) for row in rows]
        while not all(job.done() for job in jobs):
            done = sum(arrived.values())
            bar.draw("Fetching", done, total, f"{assets.megabytes(done)} of {assets.megabytes(total)}")
            time.sleep(0.1)
        for job in jobs:
            if error := job.exception():
                failures.append(str(error))
        bar.draw("Fetching", sum(arrived.values()), total, f"{assets.megabytes(sum(arrived.values()))}")
    return failures


# --- progress on stderr ----------------------------------------------------------------------------------------------


class _Bar:
    """One line that redraws itself on a terminal; elsewhere a plain line whenever a quarter is done."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.said = ("", -1)
        self.width = 0

    def draw(self, title: str, done: int, total: int, rest: str = "") -> None:
        """`total` 0: it cannot be counted."""
        share = min(done / total, 1.0) if total else 0.0
        if self.live:
            filled = int(share * 24)
            line = f"{title:12} {'█' * filled}{'░' * (24 - filled)} {share:4.0%} {rest}"
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        elif (title, int(share * 4)) != self.said:
            self.said = (title, int(share * 4))
            print(f"{title} {share:.0%} {rest}".rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.live and self.width:
            print(file=sys.stderr)
            self.width = 0


@contextlib.contextmanager
def _bar() -> Iterator[_Bar]:
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()
