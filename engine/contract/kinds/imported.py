"""Imported curves, read from TensorBoard's files.

Python 3.6, standard library only.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple


class ImportedSpec(NamedTuple):
    """Curves that were read from TensorBoard's files; nothing is asked of a worker."""

    title: str = ""  # for people
    source: str = ""  # absolute: the folder they were read from
    lanes: Tuple[str, ...] = ()  # the names of its runs, 1 to 8 different ones
    device: str = ""  # "": it is not known where they were trained

    def run_title(self, photos: str, number: Optional[int], backbone: str) -> str:
        return f"{self.title} · imported"

    def lane_names(self) -> List[str]:
        return list(self.lanes)

    def lane_titles(self) -> List[str]:
        return list(self.lanes)

    def faults(self) -> List[str]:
        return ["Curves that were imported are not run again; import their files once more."]


SPEC = ImportedSpec
HAS_DATASET = False
STAGES: Tuple[str, ...] = ()
EVENTS: Dict[str, Any] = {}
