"""python -m engine label_image: what a model says about a picture."""

import argparse
import contextlib
from pathlib import Path

from engine import settings
from engine.cli.answers import DONE, add_json, print_json
from engine.cli.progress import need
from engine.contract import catalog
from engine.errors import PhotosError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="a run's id or folder, or a backbone with its ImageNet labels")
    parser.add_argument("--image", required=True, help="a JPEG, PNG, WEBP, BMP or GIF file")
    parser.add_argument("--top", type=int, default=5, help="how many labels")
    add_json(parser)
    parser.set_defaults(command=_label_image)


def _label_image(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.classifier import Classifier
    from engine.contract.run_folder import RunFolder
    from engine.runs import open_run

    home, model = lab.home, options.model
    row = next((each for each in catalog.BACKBONES if each.name == model), None)
    if row:
        need(lab, row.asset)
        need(lab, "imagenet_names")
    else:
        if Path(model, "spec.json").is_file():
            folder = RunFolder(model)
            home, model = folder.home, folder.id
        open_run(home, model)
    try:
        image = Path(options.image).expanduser().read_bytes()
    except OSError as error:
        raise PhotosError(f"{options.image} cannot be read: {error.strerror}. Give a photo's path.") from error
    with contextlib.closing(Classifier(home, lab.worker_python)) as classifier:
        answer = classifier.classify(model, image, options.top)
    if options.json:
        print_json(
            {
                "model": model,
                "image": options.image,
                "top": [{"label": label, "probability": probability} for label, probability in answer.top],
                "first_seconds": answer.first_seconds,
                "runtime": answer.runtime,
                "device": answer.device,
            }
        )
        return DONE
    # As label_image.py prints it; it times the first call alone.
    print(f"\nEvaluation time (1-image): {answer.first_seconds:.3f}s\n")
    for label, probability in answer.top:
        print(f"{label} (score={probability:.5f})")
    return DONE
