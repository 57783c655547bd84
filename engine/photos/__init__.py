"""Folders of photos: what is in them, what is wrong with them, and which photo goes into which split.

A set of photos is a folder with one folder per class. Labels, their order and the split are those of TensorFlow for
Poets' retrain.py. No room here knows a run.
"""

from engine.photos.checks import PHOTOS_AT_LEAST, PHOTOS_PER_CLASS, faults, remarks
from engine.photos.decoding import BIG_PIXELS, FILE_LIMIT, FORMATS_TEXT, look, opened, thumbnail
from engine.photos.folders import (
    PICTURES_LIMIT,
    ClassFolder,
    Duplicate,
    Pictures,
    Progress,
    Scan,
    label,
    list_pictures,
    scan,
)
from engine.photos.places import Source, allowed, sources
from engine.photos.splits import NAME, TYPED_PATH, counts, percentage, split
from engine.photos.uploads import (
    UPLOADS_LIMIT,
    ZIP_BYTES_LIMIT,
    ZIP_FILES_LIMIT,
    ZIP_RATIO_LIMIT,
    forget,
    keep_uploads,
    title_of,
    unpack,
)

__all__ = [
    "BIG_PIXELS",
    "FILE_LIMIT",
    "FORMATS_TEXT",
    "NAME",
    "PHOTOS_AT_LEAST",
    "PHOTOS_PER_CLASS",
    "PICTURES_LIMIT",
    "TYPED_PATH",
    "UPLOADS_LIMIT",
    "ZIP_BYTES_LIMIT",
    "ZIP_FILES_LIMIT",
    "ZIP_RATIO_LIMIT",
    "ClassFolder",
    "Duplicate",
    "Pictures",
    "Progress",
    "Scan",
    "Source",
    "allowed",
    "counts",
    "faults",
    "forget",
    "keep_uploads",
    "label",
    "list_pictures",
    "look",
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
