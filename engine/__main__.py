"""python -m engine COMMAND: the lab without a browser, see engine/cli/."""

import engine.interpreter  # noqa: F401  # first: see there

# isort: split
import sys

from engine.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
