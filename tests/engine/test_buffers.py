import os
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.machine import buffers

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "flush_buffers.sh"


def test_freeing_asks_the_kernel_for_everything_and_tells_the_memory(tmp_path):
    asked = tmp_path / "drop_caches"
    asked.write_text("")
    freed = buffers.free(asked)
    assert asked.read_text() == "3\n"
    assert freed.before > 0
    assert freed.after > 0


def test_where_it_cannot_be_done_it_is_said_what_to_do(tmp_path):
    assert not buffers.can_be_freed(tmp_path / "no" / "such")
    with pytest.raises(EngineError, match=r"Run scripts/flush_buffers\.sh on the host"):
        buffers.free(tmp_path / "no" / "such")


def test_the_script_for_the_host_does_the_same():
    assert os.access(SCRIPT, os.X_OK)
    lines = SCRIPT.read_text().splitlines()
    assert lines.index("sync") < lines.index("echo 3 > /proc/sys/vm/drop_caches")
