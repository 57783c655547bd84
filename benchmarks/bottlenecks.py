"""Photos to bottlenecks, JPEG to vector, end to end, MobileNet v2 at 224."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.measure import in_turn, record, table
from benchmarks.original import bottlenecks as original
from engine.contract import catalog
from engine.worker import backbones, images
from engine.worker.features import bottlenecks
from engine.worker.machine import cores
from tests.assets_home import with_assets
from tests.worker.keras_oracle import keras_model

PHOTOS = 200
MULTIPLY_ADDS = 300e6  # of MobileNet v2 1.0 224: Sandler et al. 2018, table 4


def run(photos: Path) -> None:
    home = with_assets("mobilenet_v2")
    row = catalog.backbone("mobilenet_v2")
    network = backbones.load(home, row)
    paths = sorted(str(path) for path in photos.glob("*/*.jpg"))
    paths = paths[:: max(1, len(paths) // PHOTOS)][:PHOTOS]
    keras = keras_model(row, backbones.weights_path(home, row))
    threads = bottlenecks.TfliteThreads(network, home, cores())
    poets = original.OriginalBottlenecks(network)
    mean, std = np.array(row.mean, np.float32), np.array(row.std, np.float32)

    with tempfile.TemporaryDirectory() as scratch:
        linked = Path(scratch, "photos", "all")
        linked.mkdir(parents=True)
        for path in paths:
            (linked / Path(path).name).symlink_to(path)

        def ours() -> np.ndarray:
            cache = bottlenecks.Cache(":memory:", "benchmark", row.width)
            found, _ = bottlenecks.extract(threads, dict(zip(paths, paths, strict=True)), cache, _ignore, _go_on)
            cache.close()
            return np.stack([found[path] for path in paths])

        def poets_way() -> np.ndarray:
            return np.stack([original.read(poets.cache(path, scratch)) for path in paths])

        def keras_way() -> np.ndarray:
            data = tf.keras.utils.image_dataset_from_directory(
                linked.parent, labels=None, image_size=(row.size, row.size), batch_size=32, shuffle=False, verbose=False
            )
            return keras.predict(data.map(lambda batch: (batch - mean) / std), verbose=0)

        difference = _difference_from_keras(ours(), paths, keras, row)
        poets_difference = _poets_difference(poets_way(), poets, paths, keras, mean, std)
        times = in_turn({"ours": ours, "original": poets_way, "keras": keras_way})

    gigaflops = _sgemm_gigaflops()
    decode = _decode_seconds(paths)
    limit = 1 / (2 * MULTIPLY_ADDS / (gigaflops * 1e9) + decode)
    rows = [
        [name, f"{len(paths) / times.median(way):.0f}", f"{times.ratio(way, 'ours'):.2f}", note]
        for way, name, note in [
            ("ours", "ours: a thread per core, each with its own TFLite interpreter, float32", f"{difference:.1e}"),
            ("original", "the original's way: two session calls a photo, a text file each", f"{poets_difference:.1e}"),
            ("keras", "`image_dataset_from_directory` + `predict`", "other resize kernel"),
        ]
    ]
    share = len(paths) / times.median("ours") / limit
    record(
        "Bottlenecks",
        table(["way", "photos/s", "ours is × faster", "largest difference from Keras' layers, same pixels"], rows)
        + f"\n\n{len(paths)} photos, all stages. Limit {limit:.0f} photos/s: 0.6 GFLOP a photo at {gigaflops:.0f} "
        f"GFLOP/s (sgemm on all cores) and {1 / decode:.0f} photos/s decoding alone. Ours reaches {share:.0%} of it.",
    )


def _difference_from_keras(
    vectors: np.ndarray, paths: list[str], keras: tf.keras.Model, row: catalog.Backbone
) -> float:
    pixels = np.stack([images.resize(images.decode(Path(path).read_bytes()), row.size) for path in paths])
    normalised = (pixels - np.array(row.mean, np.float32)) / np.array(row.std, np.float32)
    return float(np.abs(vectors - keras.predict(normalised.astype(np.float32), verbose=0)).max())


def _poets_difference(vectors, poets, paths, keras, mean, std) -> float:
    resized = [poets.session.run(poets.resized, {poets.jpeg: Path(path).read_bytes()})[0] for path in paths]
    expected = keras.predict((np.stack(resized) - mean) / std, verbose=0)
    difference = float(np.abs(vectors - expected).max())
    assert difference <= 1e-4, f"the original's way computes something else: {difference}"
    return difference


def _sgemm_gigaflops() -> float:
    a = np.random.rand(2048, 2048).astype(np.float32)
    best = min(_timed(lambda: a @ a) for _ in range(8))
    return 2 * 2048**3 / best / 1e9


def _decode_seconds(paths: list[str]) -> float:
    """Wall seconds a photo for decoding alone, on all cores."""
    data = [Path(path).read_bytes() for path in paths]
    with ThreadPoolExecutor(cores()) as pool:
        return min(_timed(lambda: list(pool.map(images.decode, data))) for _ in range(5)) / len(paths)


def _timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ignore(_: int) -> None:
    pass


def _go_on() -> bool:
    return False
