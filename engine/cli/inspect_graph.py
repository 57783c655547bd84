"""python -m engine inspect_graph: what a frozen graph is, without running it."""

import argparse

from engine import assets, settings
from engine.cli.answers import DONE, add_json, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a frozen graph, like retrained_graph.pb")
    add_json(parser)
    parser.set_defaults(command=_inspect_graph)


def _inspect_graph(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.models import graph_files

    facts = graph_files.inspect(lab.worker_python, options.file)
    if options.json:
        print_json({"file": options.file, **facts})
        return DONE
    for entry in facts["inputs"]:
        print(f"input       {entry['name']}, {entry['dtype']}, {_shape(entry['shape'])}")
    for entry in facts["outputs"]:
        print(f"output      {entry['name']}, {_shape(entry['shape'])}")
    print(f"parameters  {facts['parameters']:,}")
    print(f"on disk     {assets.megabytes(facts['bytes'])}")
    counts = ", ".join(f"{name} {times:,}" for name, times in facts["operations"].items())
    print(f"nodes       {facts['nodes']:,}: {counts}")
    if facts["input_layer"]:
        print(
            f"label_image --input_layer={facts['input_layer']} --input_height={facts['input_height']} "
            f"--input_width={facts['input_width']} --input_mean={facts['input_mean']:g} "
            f"--input_std={facts['input_std']:g} --output_layer={facts['output_layer']}"
        )
    print(facts["guess"])
    return DONE


def _shape(shape: list[int | None] | None) -> str:
    """ "any x 128 x 128 x 3"."""
    if shape is None:
        return "of any shape"
    return " x ".join("any" if size is None else str(size) for size in shape) or "one number"
