"""Folders of photos: what is in them, what is wrong with them, and which photo goes into which split.

A set of photos is a folder with one folder per class. Labels, their order and the split are those of TensorFlow for
Poets' retrain.py. No room here knows a run.
"""

from engine.photos.checks import faults, remarks
from engine.photos.decoding import FILE_LIMIT, FORMATS_TEXT, opened, thumbnail
from engine.photos.folders import (
    ClassFolder,
    Pictures,
    Scan,
    label,
    list_pictures,
    scan,
)
from engine.photos.places import Source, allowed, sources
from engine.photos.splits import NAME, TYPED_PATH, counts, percentage, split
from engine.photos.uploads import (
    UPLOADS_LIMIT,
    ZIP_FILES_LIMIT,
    forget,
    keep_uploads,
    title_of,
    unpack,
)

__all__ = [
    "FILE_LIMIT",
    "FORMATS_TEXT",
    "NAME",
    "TYPED_PATH",
    "UPLOADS_LIMIT",
    "ZIP_FILES_LIMIT",
    "ClassFolder",
    "Pictures",
    "Scan",
    "Source",
    "allowed",
    "counts",
    "faults",
    "forget",
    "keep_uploads",
    "label",
    "list_pictures",
    "opened",
    "percentage",
    "remarks",
    "scan",
    "sources",
    "split",
    "thumbnail",
    "title_of",
    "unpack",
]
