"""Progress on stderr."""

import contextlib
import shutil
import sys
from collections.abc import Iterator


class Bar:
    """One line that redraws itself on a terminal; elsewhere a plain line whenever a quarter is done."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.said = ("", -1)
        self.title = ""
        self.width = 0

    def draw(self, title: str, done: int, total: int, rest: str = "") -> None:
        """`total` 0: it cannot be counted."""
        share = min(done / total, 1.0) if total else 0.0
        if self.live:
            if title != self.title:
                self.close()
                self.title = title
            filled = int(share * 24)
            bar = f"{'█' * filled}{'░' * (24 - filled)} {share:4.0%}  " if total else ""
            line = f"{title:12} {bar}{rest}"[: shutil.get_terminal_size().columns - 1]
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        elif (title, int(share * 4)) != self.said:
            self.said = (title, int(share * 4))
            print(f"{title} {f'{share:.0%} ' if total else ''}{rest}".rstrip(), file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away, so that something else can be printed on the terminal."""
        if self.live and self.width:
            print("\r" + " " * self.width, end="\r", file=sys.stderr, flush=True)
            self.width = 0

    def close(self) -> None:
        if self.live and self.width:
            print(file=sys.stderr)
            self.width = 0


@contextlib.contextmanager
def progress_bar() -> Iterator[Bar]:
    bar = Bar()
    try:
        yield bar
    finally:
        bar.close()
