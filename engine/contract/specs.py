"""What a run is asked to do: owns spec.json, written once when the run is queued and never changed.

Python 3.6, standard library only.
"""

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from engine.contract import VERSION, choices, kinds, shapes
from engine.contract.run_folder import read_json, write_json

# Of a run folder: one more wherever earlier versions could no longer read what a new one writes. Run folders without a
# format are the first.
FORMAT = 1
VERSION_LIMIT = 40  # characters of a version that are read

if TYPE_CHECKING:
    from typing import Protocol  # novermin: never imported

    class Spec(Protocol):
        """The spec of any kind of run (engine/contract/kinds/): a NamedTuple with the fields of spec.json."""

        @property
        def device(self) -> str: ...  # one of choices.DEVICES; "" where nobody knows

        def faults(self) -> List[str]:
            """What is wrong, one sentence each that says what came and what is accepted; empty if nothing."""

        def run_title(self, photos: str, number: Optional[int], backbone: str) -> str:
            """On lists and pages; `number` of photos: None where nobody can tell."""

        def lane_names(self) -> List[str]:
            """In the order of creation, which is the order of their colours; empty for kinds without lanes."""

        def lane_titles(self) -> List[str]:
            """The lanes as people read them: "lr 0.5", "Beginner"."""

        def _asdict(self) -> Dict[str, Any]: ...

else:
    Spec = Any


def lines(spec: Spec) -> Tuple[str, ...]:
    """The devices in whose lines such a run waits: one of a comparison in all, so that no other one disturbs it."""
    return choices.DEVICES if getattr(spec, "group", "") else (spec.device,)


def write(path: str, spec: Spec) -> None:
    """Write spec.json, with the format of the run folder and the version of the lab that made it. Raises OSError."""
    value: Dict[str, Any] = {"kind": kinds.of(spec), "format": FORMAT, "version": VERSION}
    value.update(spec._asdict())
    for name, each in value.items():
        if isinstance(each, tuple):
            value[name] = [row._asdict() if hasattr(row, "_asdict") else row for row in each]
    write_json(path, value)


def read(path: str) -> Any:
    """The spec of any kind of run.

    Raises OSError, and ValueError for a newer format, for a kind that this version does not know and for values that
    no spec can have.
    """
    value = _read_object(path)
    written_format = value.get("format", 1)
    if type(written_format) is not int or written_format < 1:
        raise ValueError(f"in spec.json, format is {written_format!r:.80}")
    if written_format > FORMAT:
        raise ValueError(
            f"a newer version of the lab wrote it, in format {written_format}; this one reads up to format {FORMAT}. "
            "Update the lab, or delete the run"
        )
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in kinds.KINDS:
        raise ValueError("it is a kind of run that this version does not know")
    record = kinds.contract(kind).SPEC
    known = shapes.from_json(record, value)
    wrong = shapes.misfit(record, known)
    if wrong:
        raise ValueError(f"in spec.json, {wrong} is {known[wrong]!r:.80}")
    return record(**known)


def version(path: str) -> str:
    """The version of the lab that wrote this spec.json; "" where that was before it wrote one.

    Raises OSError, and ValueError for what is no spec.json.
    """
    written = _read_object(path).get("version", "")
    return written[:VERSION_LIMIT] if isinstance(written, str) else ""


def _read_object(path: str) -> Dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError("spec.json holds no settings of a run")
    return value
