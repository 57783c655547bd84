"""python -m tests.fakes.golden_worker RUN_FOLDER LOCK_FD: a worker that tells what a golden run told, all at once.

GOLDEN names the run (tests/golden). It waits for no turn, and what it says has the times of the golden run.
"""

import os
import shutil
import sys

from engine.contract import specs, tickets
from engine.contract.run_folder import RunFolder
from tests import golden


def main(folder: RunFolder) -> None:
    source = golden.RUNS / os.environ["GOLDEN"]
    if (source / "artifacts").exists():
        shutil.copytree(source / "artifacts", folder.artifacts, dirs_exist_ok=True)
    told = (source / "events.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    with open(folder.events, encoding="utf-8") as said:
        ticket = int(said.read().partition('"ticket":')[2].partition("}")[0])
    with open(folder.events, "a", encoding="utf-8") as events:
        events.write("".join(told[1:]))  # without its place in the queue
    tickets.leave(folder.home, specs.read(folder.spec).device, ticket)


if __name__ == "__main__":
    os.ftruncate(int(sys.argv[2]), 0)
    os.write(int(sys.argv[2]), str(os.getpid()).encode())
    main(RunFolder(sys.argv[1]))
