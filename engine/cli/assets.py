"""python -m engine assets: fetch weights, digits and photos, or list them."""

import argparse
import sys
import time

from engine import assets, settings
from engine.cli.answers import DONE, FAILED, add_json, print_json
from engine.cli.progress import progress_bar
from engine.errors import AssetError, SpecError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(row.name for row in assets.ASSETS)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{names}; all but fashion_mnist and flower_photos where none is named"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, fetch nothing")
    add_json(parser)
    parser.set_defaults(command=_assets)


def _assets(options: argparse.Namespace, lab: settings.Settings) -> int:
    names = options.names or list(assets.EMBEDDED)
    try:
        rows = [assets.asset(name) for name in names]
    except AssetError as error:
        raise SpecError(str(error)) from error  # a wrong word, not a failure to fetch
    missing = [] if options.list else [row for row in rows if assets.find_asset(lab.home, row) is None]
    failures = _fetch(lab, missing) if missing else []
    if options.list and not options.names:
        rows = list(assets.ASSETS)
    if options.json:
        print_json({"assets": [_describe(lab, row) for row in rows], "failures": failures})
    elif missing or options.list:
        for row in rows:
            where = assets.find_asset(lab.home, row)
            size = assets.megabytes(row.kept_bytes if where else row.sources[0].bytes)
            print(f"{row.name:20} {'here' if where else 'not here':9} {size:>9}  {row.title} ({row.licence})")
            if source := assets.source_of(lab.home, row):
                print(f"{'':42}from {source}")
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
        "source": assets.source_of(lab.home, row),
    }


def _fetch(lab: settings.Settings, rows: list[assets.Asset]) -> list[str]:
    """Fetch two at a time behind one bar; return what went wrong."""
    import concurrent.futures
    import threading

    stop = threading.Event()
    arrived = {row.name: 0 for row in rows}
    total = sum(row.sources[0].bytes for row in rows)
    failures = []

    def fetch(row: assets.Asset) -> None:
        def progress(done: int, of: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            # Another source of the same bytes may be larger or smaller than the first.
            arrived[row.name] = row.sources[0].bytes * done // of

        assets.fetch_asset(lab.home, row, progress)
        arrived[row.name] = row.sources[0].bytes

    with progress_bar() as bar, concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(fetch, row) for row in rows]
        try:
            while not all(job.done() for job in jobs):
                done = sum(arrived.values())
                bar.draw("Fetching", done, total, f"{assets.megabytes(done)} of {assets.megabytes(total)}")
                time.sleep(0.1)
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        for job in jobs:
            if error := job.exception():
                failures.append(str(error))
        bar.draw("Fetching", sum(arrived.values()), total, f"{assets.megabytes(sum(arrived.values()))}")
    return failures
