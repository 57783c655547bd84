"""Which run folders this lab wrote itself. A model can do what a program can, so models of other runs are not loaded.

    LAB_HOME/private/               for this user alone (mode 0700)
      signing_key                   32 random bytes (mode 0600); never copied with a run
      older_runs.json               ids of the runs that were here before the key; their owner is asked about them once
    LAB_HOME/runs/<id>/
      signature.json                the sha256 of spec.json and of each file in artifacts/, and an HMAC-SHA256 of that

A worker signs its run at the end. A signature says what is in the files and not what the folder is called, so a run
that was exported and unpacked again in the same lab is still this lab's. Python 3.6, standard library only.
"""

import hashlib
import hmac
import json
import os
import stat
from typing import Any, Dict, List, Tuple

from engine.contract.run_folder import LabHome, RunFolder, read_json, write_json

KEY_BYTES = 32  # as many as SHA-256 gives, RFC 2104
BLOCK = 1 << 20  # bytes read at a time

_digests: Dict[str, Tuple[Tuple[int, ...], str]] = {}  # by path: what it looked like when it was read, sha256


def prepare(home: LabHome) -> None:
    """Make the key where there is none, and write down which runs were here before it. Raises OSError."""
    path = _key_file(home)
    if os.path.exists(path):
        return
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(os.urandom(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    found = os.listdir(home.runs) if os.path.isdir(home.runs) else []
    write_json(_older_file(home), sorted(name for name in found if _has_models(home.run(name))))
    try:
        os.link(part, path)  # where two processes begin at once, the first one's key counts
    except FileExistsError:
        pass
    finally:
        os.remove(part)


def sign(folder: RunFolder) -> None:
    """Say that this lab wrote these files. Raises OSError, also where a file is a link or no file at all."""
    prepare(folder.home)
    files = {name: _digest(os.path.join(folder.path, name)) for name in _names(folder)}
    write_json(folder.signature, {"files": files, "hmac": _hmac(folder.home, files)})


def refusal(folder: RunFolder) -> str:
    """Why no model of this run may be loaded, a sentence; "" where this lab wrote it and nothing has changed since."""
    try:
        signed = read_json(folder.signature)
        files, code = dict(signed["files"]), str(signed["hmac"])
        is_ours = hmac.compare_digest(code.encode(), _hmac(folder.home, files).encode())
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        is_ours, files = False, {}
    if not is_ours:
        if folder.id in older(folder.home):
            return (
                f"Run {folder.id} is from before the lab signed its runs. If this lab made it, confirm that on the "
                "page Runs or with `python -m engine runs sign`; until then its model is not used."
            )
        return (
            f"Run {folder.id} was not made by this lab, so its model is not used: a model can do what a program can. "
            "Train it again here, or upload the model file in the Playground, which checks it first."
        )
    try:
        names = _names(folder)
        changed = sorted(set(names) ^ set(files))
        changed += [name for name in names if name in files and files[name] != _digest(_path(folder, name))]
    except OSError as error:
        changed = [os.path.relpath(error.filename or folder.path, folder.path)]
    if changed:
        return (
            f"{changed[0]} of run {folder.id} is not as this lab wrote it, so the model is not used. Restore the "
            "folder from a copy, or train it again."
        )
    return ""


def older(home: LabHome) -> List[str]:
    """The ids of the runs that were here before the key and are not signed, by name; empty once that is settled."""
    try:
        prepare(home)
        listed = read_json(_older_file(home))
        found = [home.run(name) for name in listed if isinstance(name, str) and home.run(name).id == name]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    return [folder.id for folder in found if os.path.isdir(folder.path) and not os.path.exists(folder.signature)]


def settle_older(home: LabHome) -> None:
    """Ask about none of the older runs again; those that were not signed stay so. Raises OSError."""
    prepare(home)
    write_json(_older_file(home), [])


def _has_models(folder: RunFolder) -> bool:
    return any(os.path.exists(path) for path in (folder.tflite, folder.networks, folder.graph, folder.saved_model))


def _names(folder: RunFolder) -> List[str]:
    """spec.json and the files in artifacts/, relative to the folder. Raises OSError for a link to a folder."""
    names = [os.path.relpath(folder.spec, folder.path)] if os.path.lexists(folder.spec) else []
    for parent, folders, files in os.walk(folder.artifacts):
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                raise OSError(0, "a link", os.path.join(parent, name))
        names += [os.path.relpath(os.path.join(parent, name), folder.path) for name in files]
    return sorted(names)


def _path(folder: RunFolder, name: str) -> str:
    return os.path.join(folder.path, name)


def _digest(path: str) -> str:
    """The sha256 of a file, read once for as long as it stays as it is. Raises OSError for what is no regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "no file", path)
        # The kernel alone sets the change time, so whoever puts another file there cannot pretend.
        looks = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        known = _digests.get(path)
        if known and known[0] == looks:
            return known[1]
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(BLOCK), b""):
            digest.update(block)
    _digests[path] = (looks, digest.hexdigest())
    return digest.hexdigest()


def _hmac(home: LabHome, files: Dict[str, Any]) -> str:
    """Raises OSError where there is no key."""
    with open(_key_file(home), "rb") as file:
        key = file.read()
    if len(key) != KEY_BYTES:
        raise OSError(0, "damaged", _key_file(home))
    return hmac.new(key, json.dumps(files, sort_keys=True).encode("utf-8"), hashlib.sha256).hexdigest()


def _key_file(home: LabHome) -> str:
    return os.path.join(home.private, "signing_key")


def _older_file(home: LabHome) -> str:
    return os.path.join(home.private, "older_runs.json")
