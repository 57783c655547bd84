"""Backbone outputs ("bottlenecks"), computed once for each photo and kept.

A vector is kept under the sha256 of the photo's bytes and a key that names everything else that determines it, so
that renamed, copied or re-labelled photos cost nothing the second time. Python 3.6; SQL that SQLite 3.22 knows.
"""

import hashlib
import itertools
import json
import os
import sqlite3
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from engine.contract import catalog, choices
from engine.contract.run_folder import LabHome
from engine.worker import backbones, images
from engine.worker.formats import tflite
from engine.worker.reporter import RunCancelled


class Figures(NamedTuple):
    cached: int  # photos whose vector was known
    computed: int  # photos whose vector was computed
    decode_seconds: float  # core-seconds of reading, decoding and resizing
    backbone_seconds: float  # core-seconds inside the backbone
    runtime: str  # what computed, for people
    cache_seconds: float  # of reading and writing the cache


AHEAD = 4  # photos that each thread has in memory: those that wait for their turn are computed already


def key(network: backbones.Network) -> str:
    """Names everything that determines a vector, apart from the photo's bytes."""
    row = network.row
    return json.dumps(
        {
            "weights": network.digest,
            "size": row.size,
            "mean": row.mean,
            "std": row.std,
            "decoder": images.DECODER[row.preprocessing],
            "resize": images.KERNEL[row.preprocessing],
            "arithmetic": "float32",
        },
        sort_keys=True,
    )


def fingerprints(
    paths: List[str], threads: int, progress: Callable[[int], None], stop: Callable[[], bool]
) -> List[Any]:
    """For each file the sha256 of its bytes (hexadecimal), or the OSError that reading it raised."""

    def fingerprint(path: str) -> Any:
        try:
            with open(path, "rb") as file:
                return hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(reported(pool.map(fingerprint, paths), progress, stop))


def extract(
    runtime: Any, photos: Dict[str, str], cache: Any, progress: Callable[[int], None], stop: Callable[[], bool]
) -> Tuple[Dict[str, Any], Figures]:
    """The vector of every photo, from the cache or computed on all cores.

    `photos` maps sha256 to a path that holds these bytes. Returns sha256 -> (width,) float32, or -> the exception's
    text where the photo cannot be used, and what it took. `progress` gets the number of photos done; `stop` is asked
    at least every 0.5 s and raises RunCancelled here; what was computed until then is kept.
    """
    began_to_read = time.perf_counter()
    found: Dict[str, Any] = cache.read(list(photos))
    cached = len(found)
    missing = [sha256 for sha256 in photos if sha256 not in found]
    progress(cached)
    spent = {"decode": 0.0, "backbone": 0.0, "cache": time.perf_counter() - began_to_read}
    lock = threading.Lock()
    row = runtime.network.row

    def prepare(sha256: str) -> Any:
        began = time.perf_counter()
        pixels = pixels_of(photos[sha256], row)
        with lock:
            spent["decode"] += time.perf_counter() - began
        return pixels

    def answered() -> Iterator[Tuple[str, Any]]:
        for sha256, value, seconds in runtime.run(missing, prepare):
            spent["backbone"] += seconds
            yield sha256, value

    def keep(vectors: Dict[str, np.ndarray]) -> None:
        began = time.perf_counter()
        cache.write(vectors)
        spent["cache"] += time.perf_counter() - began

    unsaved: Dict[str, np.ndarray] = {}
    try:
        for sha256, value in reported(answered(), lambda done: progress(cached + done), stop):
            found[sha256] = value
            if not isinstance(value, str):
                unsaved[sha256] = value
            if len(unsaved) >= 256:
                keep(unsaved)
                unsaved = {}
    finally:
        keep(unsaved)
    return found, Figures(cached, len(missing), spent["decode"], spent["backbone"], runtime.title, spent["cache"])


def pixels_of(path: str, row: catalog.Backbone) -> Any:
    """A photo as the backbone takes it, (size, size, 3) uint8 or float32; a text where it cannot be used."""
    try:
        with open(path, "rb") as file:
            return images.resize(images.decode(file.read(), row.preprocessing), row.size, row.preprocessing)
    except images.ImageError as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def choose_runtime(network: backbones.Network, home: LabHome, device: str, threads: int, at_once: int = 0) -> Any:
    """What computes bottlenecks best on that device: an object with `run` and `title`.

    `at_once`: of photos in memory at the same time, no more than this; 0: as many as are fastest.

    The original graphs run in TensorFlow everywhere: there TFLite is faster, and its rounding twice as far from the
    bottlenecks that their users have from earlier.
    """
    if device == choices.CPU and network.row.preprocessing == catalog.PILLOW:
        try:
            return TfliteThreads(network, home, threads, at_once)
        except tflite.NotConvertible:  # an old graph with operations that TFLite does not have
            pass
    return FrozenBatches(network, threads, at_once)


def in_memory(preprocessing: str, device: str, threads: int) -> int:
    """How many photos choose_runtime's choice has in memory at the same time where nobody bounds them."""
    as_tflite = device == choices.CPU and preprocessing == catalog.PILLOW
    return AHEAD * threads if as_tflite else FrozenBatches.BATCH


def ahead(work: Callable[[Any], Any], items: Iterable[Any], threads: int, at_once: int = 0) -> Iterator[Any]:
    """What `work` makes of each item, in order; threads work on a few ahead, so that memory does not grow with them.

    `at_once`: how many at most; 0: AHEAD for each thread.
    """
    most = at_once or AHEAD * threads
    with ThreadPoolExecutor(min(threads, most)) as pool:
        pending = iter(items)
        window = [pool.submit(work, item) for item in itertools.islice(pending, most)]
        try:
            while window:
                done = window.pop(0)
                yield done.result()
                window += [pool.submit(work, item) for item in itertools.islice(pending, 1)]
        finally:
            for future in window:
                future.cancel()


class TfliteThreads:
    """A TFLite interpreter of one thread for each core: batch 1, float32. The way for a CPU.

    Twice as fast as one interpreter with all threads, because decoding and backbone of different photos overlap and
    nobody waits for anybody.
    """

    def __init__(self, network: backbones.Network, home: LabHome, threads: int, at_once: int = 0) -> None:
        threads = min(threads, at_once or threads)
        self.network, self.threads, self.at_once = network, threads, at_once
        _, name = tflite.interpreter()
        self.title = "{}, {} thread{}".format(name, threads, "" if threads == 1 else "s")
        self._model = backbone_tflite(network, home)
        self._own = threading.local()

    def run(self, items: Iterable[Any], prepare: Callable[[Any], Any]) -> Iterator[Tuple[Any, Any, float]]:
        """(item, vector or the text that `prepare` refused it with, seconds in the backbone), in the items' order.

        `prepare` makes (size, size, 3) uint8 or float32, 0..255, of an item; no more than a few items are asked for
        ahead.
        """

        def vector(item: Any) -> Tuple[Any, Any, float]:
            pixels = prepare(item)
            if isinstance(pixels, str):
                return item, pixels, 0.0
            began = time.perf_counter()
            return item, self(pixels), time.perf_counter() - began

        return ahead(vector, items, self.threads, self.at_once)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """(size, size, 3) uint8 or float32, 0..255 -> (width,) float32."""
        if not hasattr(self._own, "run"):
            self._own.run = tflite.open_file(self._model)
        return self._own.run(pixels[None].astype(np.float32))


class FrozenBatches:
    """One frozen TensorFlow graph, fed with batches that threads decode. The way for a GPU."""

    BATCH = 32  # photos: 20 MB of input; the largest activations of these backbones then take 0.3 GB

    def __init__(self, network: backbones.Network, threads: int, at_once: int = 0) -> None:
        self.network, self.threads, self.title = network, threads, "TensorFlow"
        self.batch = min(self.BATCH, at_once or self.BATCH)

    def _build(self) -> Tuple[int, Dict[Any, Any]]:
        """How many photos at once, and the graph for each kind of pixels. Not before something is to be computed."""
        import tensorflow as tf

        row = self.network.row
        devices = tf.config.list_physical_devices("GPU")
        self.title = "TensorFlow {} on {}".format(tf.__version__, "GPU" if devices else "CPU")
        batch = self.batch if self.network.body.takes_batches else 1
        # By what a photo is prepared to: whole levels, or numbers where it was resized or distorted in float32.
        graphs = {
            kind.as_numpy_dtype: tf.function(
                lambda rgb: backbones.features(self.network, tf.cast(rgb, tf.float32)),
                input_signature=[tf.TensorSpec([None if batch > 1 else 1, row.size, row.size, 3], kind)],
                autograph=False,  # which would rewrite the reader of graphs too
            )
            for kind in (tf.uint8, tf.float32)
        }
        return batch, graphs

    def run(self, items: Iterable[Any], prepare: Callable[[Any], Any]) -> Iterator[Tuple[Any, Any, float]]:
        """As TfliteThreads.run."""
        pending = iter(items)
        batch = list(itertools.islice(pending, 1))
        if not batch:
            return
        size, graphs = self._build()
        with ThreadPoolExecutor(self.threads) as pool:
            batch += itertools.islice(pending, size - 1)
            coming = [pool.submit(prepare, item) for item in batch]
            while batch:
                prepared = [future.result() for future in coming]
                following = list(itertools.islice(pending, size))
                coming = [pool.submit(prepare, item) for item in following]  # decoded while the graph computes
                good = [at for at, pixels in enumerate(prepared) if not isinstance(pixels, str)]
                vectors: Dict[int, np.ndarray] = {}
                seconds = 0.0
                if good:
                    began = time.perf_counter()
                    pixels = np.stack([prepared[at] for at in good])
                    vectors = dict(zip(good, graphs[pixels.dtype.type](pixels).numpy()))
                    seconds = time.perf_counter() - began
                for at, item in enumerate(batch):
                    yield item, vectors.get(at, prepared[at]), seconds / len(batch)
                batch = following


def backbone_tflite(network: backbones.Network, home: LabHome) -> str:
    """The path of the frozen part as float TFLite; converted with TensorFlow the first time, then kept.

    Input RGB (1, size, size, 3) float32, 0..255; output (1, width) float32.
    """
    path = backbone_tflite_path(home, network.row, network.digest)
    if not os.path.exists(path):
        size = network.row.size
        tflite.keep(path, lambda rgb: backbones.features(network, rgb), [1, size, size, 3])
    return path


def backbone_tflite_path(home: LabHome, row: catalog.Backbone, digest: str) -> str:
    """Where the frozen part lies as TFLite, once it was converted; `digest`: sha256 of its weights."""
    return os.path.join(home.derived, f"{row.name}-{digest[:16]}-{backbones.FORM}.tflite")


class Cache:
    """Vectors by (key, sha256 of the photo) in one SQLite file for all runs.

    A damaged file is renamed and rebuilt; a damaged vector is as good as none. Nothing here stops a run: where the
    disk is full, `trouble` says so once and the vectors are simply not kept.
    """

    def __init__(self, path: str, key: str, width: int) -> None:
        self.path, self.width = path, width
        self.key = hashlib.sha256(key.encode()).hexdigest()
        self.damaged = 0  # vectors that were found and did not match their checksum
        self.trouble: Optional[str] = None
        self._database: Optional[sqlite3.Connection] = None
        try:
            self._database = _open(path, self.key, key)
        except sqlite3.OperationalError as error:
            self._give_up(error)
        except sqlite3.DatabaseError:
            os.replace(path, f"{path}.damaged-{time.time():.0f}")
            self.trouble = "The bottleneck cache was damaged; it was set aside and is being rebuilt."
            self._database = _open(path, self.key, key)

    def read(self, photos: List[str]) -> Dict[str, np.ndarray]:
        """sha256 -> (width,) float32 for the photos that are known and whole."""
        found: Dict[str, np.ndarray] = {}
        if self._database is None:
            return found
        for at in range(0, len(photos), 500):  # SQLite takes at most 999 variables
            some = photos[at : at + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT photo, vector, checksum FROM vectors WHERE key = ? AND photo IN ({marks})"
            try:
                rows = self._database.execute(query, [self.key] + some).fetchall()
            except sqlite3.DatabaseError as error:  # damaged in the middle: what cannot be read is computed again
                self.trouble = f"A part of the bottleneck cache cannot be read ({error}); it is computed again."
                continue
            for photo, vector, checksum in rows:
                if len(vector) == 4 * self.width and zlib.crc32(vector) == checksum:
                    found[photo] = np.frombuffer(vector, "<f4")
                else:
                    self.damaged += 1
        return found

    def write(self, vectors: Dict[str, np.ndarray]) -> None:
        if self._database is None or not vectors:
            return
        rows = []
        for photo, vector in vectors.items():
            data = vector.astype("<f4").tobytes()
            rows.append((self.key, photo, data, zlib.crc32(data)))
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)
        except (sqlite3.DatabaseError, OSError) as error:
            self._give_up(error)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _give_up(self, error: Exception) -> None:
        self.trouble = f"Bottlenecks are not kept for the next run: {error}."
        self.close()


class NoCache:
    """In the place of a Cache where nothing is to be known from earlier, nor kept."""

    damaged, trouble = 0, None

    def read(self, photos: List[str]) -> Dict[str, np.ndarray]:
        return {}

    def write(self, vectors: Dict[str, np.ndarray]) -> None:
        pass

    def close(self) -> None:
        pass


def _open(path: str, key: str, describes: str) -> sqlite3.Connection:
    """The database with its tables. Raises sqlite3.DatabaseError where the file is none."""
    database = sqlite3.connect(path, timeout=30)
    try:
        with database:
            database.execute("CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, describes TEXT)")
            database.execute(
                "CREATE TABLE IF NOT EXISTS vectors "
                "(key TEXT, photo TEXT, vector BLOB, checksum INTEGER, PRIMARY KEY (key, photo))"
            )
            database.execute("INSERT OR REPLACE INTO keys VALUES (?, ?)", (key, describes))
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


def reported(values: Any, progress: Callable[[int], None], stop: Callable[[], bool]) -> Iterator[Any]:
    """Hands the values on; reports and asks for the end about four times a second."""
    last, done = time.perf_counter(), 0
    for value in values:
        yield value
        done += 1
        if time.perf_counter() - last >= 0.25:
            progress(done)
            last = time.perf_counter()
            if stop():
                raise RunCancelled()
    progress(done)
    if stop():
        raise RunCancelled()
