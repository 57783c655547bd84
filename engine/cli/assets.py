"""python -m engine assets: fetch weights, digits and photos, or list them."""

import argparse
import sys
import time
from pathlib import Path

from engine import assets, settings
from engine.cli.answers import DONE, FAILED, add_json, print_json
from engine.cli.progress import progress_bar
from engine.errors import AssetError, SpecError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(row.name for row in assets.ASSETS)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{names}, inception_v3, or mobilenet_<1.0|0.75|0.50|0.25>_<224|192|160|128>; "
        f"{', '.join(assets.EMBEDDED)} where none is named",
    )
    parser.add_argument("--list", action="store_true", help="say what there is, fetch nothing")
    parser.add_argument("--from", dest="given", metavar="PATH", help="an archive or a folder that has the one named")
    add_json(parser)
    parser.set_defaults(command=_assets)


def _assets(options: argparse.Namespace, lab: settings.Settings) -> int:
    names = options.names or list(assets.EMBEDDED)
    try:
        rows = [assets.asset(name) for name in names]
    except AssetError as error:
        raise SpecError(str(error)) from error  # a wrong word, not a failure to fetch
    if options.given is not None:
        if len(options.names) != 1 or options.list:
            raise SpecError("--from takes one NAME: python -m engine assets inception_v3 --from PATH")
        assets.give(lab.home, rows[0], Path(options.given).expanduser())
    missing = [row for row in rows if assets.find_asset(lab.home, row) is None] if not options.list else []
    failures = _fetch(lab, missing) if missing else []
    if options.list and not options.names:
        rows = [*assets.ASSETS, *assets.ORIGINALS]
    if options.json:
        print_json({"assets": [_describe(lab, row) for row in rows], "failures": failures})
    elif missing or options.list or options.given is not None:
        absent = [row for row in rows if row in assets.ORIGINALS and assets.find_asset(lab.home, row) is None]
        for row in [row for row in rows if row not in absent or options.names]:
            where = assets.find_asset(lab.home, row)
            size = assets.megabytes(row.kept_bytes if where else row.sources[0].bytes)
            print(f"{row.name:20} {'here' if where else 'not here':9} {size:>9}  {row.title} ({row.licence})")
            if source := assets.source_of(lab.home, row):
                print(f"{'':42}from {source}")
        if absent and not options.names:
            sizes = sorted(row.sources[0].bytes for row in absent)
            print(
                f"{len(absent)} more backbones of retrain.py can be had by name, {assets.megabytes(sizes[0])} to "
                f"{assets.megabytes(sizes[-1])}: {_short_names(absent)}"
            )
    for failure in failures:
        print(failure, file=sys.stderr)
    return FAILED if failures else DONE


def _short_names(rows: list[assets.Asset]) -> str:
    """ "inception_v3, mobilenet_1.0_224|192, mobilenet_0.75_128" """
    sizes: dict[str, list[str]] = {}
    for row in rows:
        network, _, size = row.name.rpartition("_")
        sizes.setdefault(network, []).append(size)
    return ", ".join(f"{network}_{'|'.join(each)}" for network, each in sizes.items())


def _describe(lab: settings.Settings, row: assets.Asset) -> dict:
    path = assets.find_asset(lab.home, row)
    return {
        "name": row.name,
        "title": row.title,
        "path": str(path) if path else None,
        "bytes": row.kept_bytes,
        "sha256": assets.sum_of(lab.home, row),
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
