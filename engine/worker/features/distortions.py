"""Photos changed at random each time they are learned from: enlarged, cropped, mirrored, lighter or darker.

As retrain.py of TensorFlow for Poets. numpy and Pillow alone (TensorFlow only where the backbone wants its decoder);
Python 3.6.
"""

import itertools
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional, Tuple, Union

import numpy as np
from PIL import Image

from engine.contract import catalog
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.race import RaceSpec
from engine.worker import images
from engine.worker.features import bottlenecks
from engine.worker.reporter import RunCancelled

# Memory for photos that stay decoded between two uses, bytes; a Jetson TX2 has 8 GB for everything.
KEPT_BYTES = 512 * 1024 * 1024


class PhotoGone(Exception):
    """A photo could be read before training and can no longer be read; `why` says what is wrong with it, for people."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path, self.why = path, why


def distort(
    image: Image.Image,
    size: int,
    spec: Union[RaceSpec, FineTuningSpec],
    random: np.random.RandomState,
    preprocessing: str = catalog.PILLOW,
) -> np.ndarray:
    """The picture as a backbone gets it this time: (size, size, 3) float32, from 0 up to 255 x the brightness.

    Squashed to a square (1 + random_crop %) x U[1, 1 + random_scale %] times as large as the input, of which a square
    of the input's size is cut out anywhere; mirrored half of the time; multiplied by U[1 - random_brightness %,
    1 + random_brightness %]. As in the original, levels above 255 are not clipped before the mean is subtracted.
    """
    # All five are drawn whatever is switched on, so that one setting does not change what the others do.
    larger, down, across, mirrored, brighter = random.random_sample(5)
    scale = (1 + spec.random_crop / 100.0) * (1 + larger * spec.random_scale / 100.0)
    pixels = images.resize(image, int(size * scale), preprocessing)
    top, left = [int(share * (len(pixels) - size + 1)) for share in (down, across)]
    pixels = pixels[top : top + size, left : left + size]
    if spec.flip_left_right and mirrored < 0.5:
        pixels = pixels[:, ::-1]
    factor = 1 + (2 * brighter - 1) * spec.random_brightness / 100.0
    return pixels.astype(np.float32) * np.float32(factor)


class Photos:
    """Decodes photos by path; as many as KEPT_BYTES hold stay decoded."""

    def __init__(self, preprocessing: str, kept_bytes: int = KEPT_BYTES) -> None:
        self.preprocessing = preprocessing
        self._kept: Dict[str, Image.Image] = {}
        self._limit = self._room = kept_bytes
        self._lock = threading.Lock()

    def __call__(self, path: str) -> Any:
        """The decoded picture, or a text that says why there is none."""
        image = self._kept.get(path)
        if image is not None:
            return image
        try:
            with open(path, "rb") as file:
                image = images.decode(file.read(), self.preprocessing)
        except images.ImageError as error:
            return str(error)
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        needed = 4 * image.width * image.height  # Pillow gives an RGB pixel four bytes
        with self._lock:
            if needed <= self._room and path not in self._kept:
                self._kept[path] = image
                self._room -= needed
        return image

    @property
    def kept_bytes(self) -> int:
        """Memory of the photos that are decoded now."""
        return self._limit - self._room

    def faults(
        self, paths: List[str], threads: int, progress: Callable[[int], None], stop: Callable[[], bool]
    ) -> List[Optional[str]]:
        """For each photo why it cannot be used, None where it can. Raises RunCancelled."""

        def fault(path: str) -> Optional[str]:
            image = self(path)
            return image if isinstance(image, str) else None

        with ThreadPoolExecutor(threads) as pool:
            found: Any = pool.map(fault, paths)
            try:
                return list(bottlenecks.reported(found, progress, stop))
            finally:
                found.close()  # what has not begun is not waited for

    def forget(self) -> None:
        """Give the memory back; from now on nothing is kept."""
        with self._lock:
            self._kept, self._limit, self._room = {}, 0, 0


def batches(
    runtime: Any,
    photos: Photos,
    paths: List[str],
    draws: Iterable[Tuple[Any, Any]],
    spec: RaceSpec,
    progress: Callable[[int], None],
    stop: Callable[[], bool],
) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """What heads.race learns from: for each step (batch, width) float32 and (batch,) labels, of photos distorted anew.

    `draws` yields for each step the numbers of its photos in `paths` and their labels. Every photo goes through the
    backbone once, for all lanes, and those of the next step while one is learned from. `progress` gets the number of
    photos so far about four times a second; `stop` is asked as often and ends the batches. A batch is overwritten by
    the next one. What is drawn depends on the seed and the step alone, not on the number of threads. Raises PhotoGone.
    """
    row = runtime.network.row
    truths: Deque[np.ndarray] = deque()  # of the steps that have been begun and not handed on

    def items() -> Iterator[Tuple[str, List[int]]]:
        for step, (numbers, labels) in enumerate(itertools.islice(draws, spec.steps), 1):
            truths.append(np.array(labels))  # a copy: the next draw may come before these are handed on
            for position, number in enumerate(numbers):
                yield paths[number], [spec.seed, 4, step, position]  # heads.py has 0 to 3

    def prepare(item: Tuple[str, List[int]]) -> Any:
        path, seed = item
        image = photos(path)
        if isinstance(image, str):
            return image
        return distort(image, row.size, spec, np.random.RandomState(seed), row.preprocessing)

    answers = runtime.run(items(), prepare)
    features, filled = np.empty((0, row.width), np.float32), 0
    try:
        for (path, _), vector, _ in bottlenecks.reported(answers, progress, stop):
            if isinstance(vector, str):
                raise PhotoGone(path, vector)
            if len(features) != len(truths[0]):
                features = np.empty((len(truths[0]), row.width), np.float32)
            features[filled] = vector
            filled += 1
            if filled == len(features):
                filled = 0
                yield features, truths.popleft()
    except RunCancelled:
        return
    finally:
        answers.close()
        photos.forget()
