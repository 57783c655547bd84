"""The race: the last layer is trained on photos at one or more learning rates, one lane each.

Python 3.6, standard library only.
"""

import re
from typing import List, NamedTuple, Optional, Tuple

from engine.contract import choices, events


class RaceSpec(NamedTuple):
    """One or more learning rates. The defaults are retrain.py's, with the coursework's learning rates."""

    backbone: str = "mobilenet_v2"  # a name of catalog.BACKBONES or ORIGINALS, or of one that was added
    learning_rates: Tuple[float, ...] = (0.005, 0.5, 1.0)  # one lane each, 1 to 8 different ones, 0.0001 to 10
    steps: int = 4000  # how_many_training_steps of retrain.py
    train_batch_size: int = 100  # photos; -1: every training photo once
    validation_batch_size: int = 100  # photos; -1: every validation photo once
    test_batch_size: int = -1  # photos; -1: every testing photo once
    eval_step_interval: int = 10  # steps between two evaluations
    validation_percentage: int = 10  # of the photos
    testing_percentage: int = 10  # of the photos
    seed: int = 0  # of the first weights and of every batch
    device: str = choices.CPU  # "cpu" or "gpu"
    # choices.DISTORTIONS, each time a photo is learned from; any of them switches the cache off for the training photos
    flip_left_right: bool = False  # half of the time
    random_crop: int = 0  # 0..90 %: how much larger than the crop the photo is
    random_scale: int = 0  # 0..100 %: how much larger, at random, at most
    random_brightness: int = 0  # 0..100 %: the pixels are multiplied by up to so much more or less than 1
    bottleneck_dir: str = ""  # absolute: a folder of retrain.py's text files, read and written; "" for none
    summaries_dir: str = ""  # absolute: event files go there too, into a folder named as the run; "" for none
    intermediate_store_frequency: int = 0  # steps between two intermediate graphs; 0: none
    final_tensor_name: str = "final_result"  # of the frozen graph's output
    threads: int = 0  # cores that the run may use, each with one thread of work; 0: every core of the machine
    use_cache: bool = True  # False: bottlenecks are neither read nor kept, so that their time is measured
    group: str = ""  # the same for runs that were started to be compared with each other; "" for none

    def run_title(self, photos: str, number: Optional[int], backbone: str) -> str:
        rates = self.learning_rates
        varied = f"lr {rates[0]:g}" if len(rates) == 1 else f"{len(rates)} learning rates"
        if self.group:
            varied += f" · {self.machine_title()}"
        return f"{photos} · {backbone} · {varied}"

    def lane_names(self) -> List[str]:
        return [choices.lane_name(rate) for rate in self.learning_rates]

    def lane_titles(self) -> List[str]:
        return ["lr " + lane for lane in self.lane_names()]

    def machine_title(self) -> str:
        """What the run computes on, as people read it: "GPU", "CPU", "1 thread"."""
        if not self.threads:
            return self.device.upper()
        return f"{self.threads} thread{'' if self.threads == 1 else 's'}"

    def faults(self) -> List[str]:
        found: List[str] = []
        choices.retrained_backbone(found, self.backbone)
        rates = self.learning_rates
        if not 1 <= len(rates) <= choices.LANE_LIMIT:
            found.append(f"{len(rates)} learning rates; choose 1 to {choices.LANE_LIMIT}.")
        if len(set(rates)) < len(rates):
            found.append("A learning rate is listed twice; each lane needs its own.")
        for rate in rates:
            choices.rate(found, rate)
        choices.within(found, "Steps", self.steps, 1, 1000000)
        for name in ("train_batch_size", "validation_batch_size", "test_batch_size"):
            if getattr(self, name) != -1:
                choices.within(
                    found, name.replace("_", " ").capitalize(), getattr(self, name), 1, 100000, " or -1 for all photos"
                )
        choices.within(found, "Evaluation interval", self.eval_step_interval, 1, 1000000)
        choices.splits(found, self)
        choices.distortions(found, self)
        choices.within(
            found, "Intermediate store frequency", self.intermediate_store_frequency, 0, 1000000, " steps; 0 for none"
        )
        if not re.match(r"[A-Za-z0-9.][A-Za-z0-9_.\\/-]*$", self.final_tensor_name):  # TensorFlow's rule for names
            found.append(f"Final tensor name is {self.final_tensor_name!r}; use letters, digits, _ . / and -.")
        choices.within(found, "Threads", self.threads, 0, 1024, "; 0 takes every core")
        if self.bottleneck_dir and not self.use_cache:
            found.append("A run without the cache keeps no bottlenecks in text files either; leave one of the two out.")
        choices.seed(found, self.seed)
        choices.device(found, self.device)
        return found


class LaneResult(NamedTuple):
    """The final figures of one lane, measured with its last weights."""

    t: float
    lane: str
    test_accuracy: float  # 0..1
    test_n: int  # photos tested
    final_validation_accuracy: float  # 0..1, over the whole validation split; lanes are chosen by it and
    final_validation_cross_entropy: Optional[float]  # nats, likewise, between equals; None where it is not a number
    best_validation_accuracy: float  # 0..1, the highest of the evaluations during training
    best_step: int  # where that was
    diverged: bool


class RaceResult(NamedTuple):
    """The final figures of the run."""

    t: float
    kept: str  # the lane that was exported
    images: int  # photos used
    training: int
    validation: int
    testing: int
    cached: int  # photos whose bottleneck was known already
    computed: int  # photos whose bottleneck was computed by this run
    decode_seconds: float  # core-seconds of reading, decoding and resizing
    backbone_seconds: float  # core-seconds inside the backbone
    race_seconds: float  # wall time of training, all lanes together
    export_difference: float  # of a probability, the largest; exported files loaded in a fresh process
    export_photos: int  # how many photos were compared
    runtime: str  # what computed the bottlenecks, for people
    peak_memory_bytes: int  # of the worker process, the kernel's own figure
    # None in runs of before these were measured:
    cache_seconds: Optional[float] = None  # core-seconds of reading and keeping bottlenecks
    import_seconds: Optional[float] = None  # wall time of loading TensorFlow, wherever in the run that came


SPEC = RaceSpec
HAS_DATASET = True
STAGES = (events.SCANNING, events.BOTTLENECKS, events.TRAINING, events.EVALUATING, events.EXPORTING)
EVENTS = {"lane_result": LaneResult, "result": RaceResult}
