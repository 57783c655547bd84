"""python -m benchmarks NAME [FOLDER_OF_PHOTOS]

bottlenecks   JPEG to vector, against the original's way and plain Keras          needs a folder of photos
race          three learning rates at once, against retrain.py's way and Keras
cached        a second run of 3,670 photos                                        needs a folder of photos
accuracy      three seeds on the photos given and on the traffic lights           needs a folder of photos
faithful      the race against retrain.py's training of the original's bottlenecks  needs $LAB_TEST_DATA
dashboard     first paint, memory, another visitor's click
mnist         networks for digits, against Keras' fit and Keras' Conv2D
questions     Q&A with 50 runs on disk, from a click to the answer
report        a report of 20 runs: time and size                          needs a folder of photos
prediction    what a run was said to take against what it took             needs a folder of photos
memory        what each process of the lab holds
door          10,000 wrong tokens, and what a visitor notices of them
digits        what the networks for digits reach, five seeds                      takes half an hour

The folder holds one folder a class; without it, flower_photos in $LAB_TEST_DATA is taken. Each writes its table into
docs/benchmarks.md. The machine must have nothing else to do.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

OF_PHOTOS = ("bottlenecks", "cached", "accuracy", "faithful", "prediction", "report")
OTHERS = ("race", "dashboard", "mnist", "questions", "memory", "door", "digits")


def main(arguments: list[str]) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    name = arguments[0] if arguments else ""
    if name == "race":
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as engine/worker/__main__.py sets it, before numpy is imported
    if name not in OF_PHOTOS + OTHERS:
        sys.exit(__doc__)
    module = import_module(f"benchmarks.{name}")
    if name in OTHERS:
        return module.run()
    given = arguments[1] if len(arguments) > 1 else os.path.join(os.environ.get("LAB_TEST_DATA", ""), "flower_photos")
    if not Path(given).is_dir():
        sys.exit(f"There is no folder {given}. Name a folder of photos with one folder a class.")
    return module.run(Path(given))


if __name__ == "__main__":
    main(sys.argv[1:])
