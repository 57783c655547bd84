"""python -m engine batch_size: which batch sizes fit into the memory, how fast each is, and which to take."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine import settings
from engine.cli.answers import add_json
from engine.cli.following import carry_out
from engine.cli.inputs import add_tuned_backbone, depth, fetch_backbone
from engine.contract import catalog, choices
from engine.contract.kinds.batch_size import BatchSizeResult, BatchSizeSpec, BatchTried
from engine.errors import SpecError

if TYPE_CHECKING:
    from engine.runs import Run

NAME, HELP = "batch_size", "which batch sizes fit into the memory, and which to take"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default, add = BatchSizeSpec(), parser.add_argument
    add_tuned_backbone(parser, default.backbone)
    add("--blocks", type=depth, default=default.blocks, help="how many of the last blocks learn; all by default")
    add("--largest", type=int, default=default.largest, help="batch size that is tried at most")
    add("--device", choices=choices.DEVICES, default=default.device)
    add(
        "--memory_limit",
        type=int,
        default=default.memory_limit,
        help="MB for each process that tries a size; 0: nine tenths of what is free",
    )
    add_json(parser)
    parser.set_defaults(command=_batch_size)


def _batch_size(options: argparse.Namespace, lab: settings.Settings) -> int:
    spec = BatchSizeSpec(**{name: getattr(options, name) for name in BatchSizeSpec._fields})
    if faults := spec.faults():
        raise SpecError(" ".join(faults))
    fetch_backbone(lab, catalog.backbone(spec.backbone))
    return carry_out(options, lab, spec, None, report=_report, last_lines=_last, new_lines=_Lines())


def _report(run: "Run") -> dict[str, Any]:
    from engine.kinds.batch_size import batch_sizes

    taken, result = batch_sizes.recommend(run), run.story.last(BatchSizeResult)
    return {
        "run": run.id,
        "state": run.state,
        "error": run.story.error.message if run.story.error else None,
        "tried": [
            {name: value for name, value in each._asdict().items() if name != "t"}
            for each in batch_sizes.tried(run.story)
        ],
        "largest": result.largest if result else None,
        "memory_limit_bytes": result.memory_limit_bytes if result else None,
        "recommended": taken.batch_size if taken else None,
    }


class _Lines:
    """The sizes that were tried since the last call."""

    def __init__(self) -> None:
        self.said = 0

    def __call__(self, run: "Run") -> list[str]:
        from engine.kinds.batch_size import batch_sizes

        new = run.story.every(BatchTried)[self.said :]
        self.said += len(new)
        return [batch_sizes.in_words(each) for each in new]


def _last(run: "Run") -> Iterator[str]:
    from engine.kinds.batch_size import batch_sizes

    if taken := batch_sizes.recommend(run):
        yield f"{taken.conclusion} {taken.reasons}"
