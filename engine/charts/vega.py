"""Vega for pages without a network, and charts as pictures; both from vl-convert.

It runs in a process of its own: it brings a JavaScript engine along, 150 MB that a server would hold for ever.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from engine.charts.base import Spec
from engine.contract.run_folder import LabHome, write_bytes
from engine.errors import EngineError

_BUNDLE = """
import sys, vl_convert
with open(sys.argv[1], "w", encoding="utf-8") as file:
    file.write(vl_convert.javascript_bundle())
"""
_PICTURES = """
import json, sys, vl_convert
with open(sys.argv[1] + "/charts.json", encoding="utf-8") as file:
    charts = json.load(file)
for number, chart in enumerate(charts):
    with open(f"{sys.argv[1]}/{number}.svg", "w", encoding="utf-8") as file:
        file.write(vl_convert.vegalite_to_svg(chart))
"""


def javascript(home: LabHome) -> str:
    """One script with Vega, Vega-Lite and Vega-Embed, which makes `vegaEmbed` known; kept, since making it takes 2 s.

    Raises EngineError where it cannot be made.
    """
    kept = Path(home.derived, f"vega-{metadata.version('vl-convert-python')}.js")
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "vega.js")
        _convert(_BUNDLE, str(made))
        script = made.read_bytes()
    try:
        write_bytes(str(kept), script)
    except OSError:
        pass  # it is made again next time
    return script.decode()


def pictures(charts: Sequence[Spec]) -> list[str]:
    """Each chart as SVG, in their order; a PNG of a curve would take ten times as long. Raises EngineError."""
    if not charts:
        return []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "charts.json").write_text(json.dumps(charts), encoding="utf-8")
        _convert(_PICTURES, folder)
        return [Path(folder, f"{number}.svg").read_text(encoding="utf-8") for number in range(len(charts))]


def _convert(code: str, *arguments: str) -> None:
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=os.sep)
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise EngineError(f"The charts of a report cannot be drawn: {last}")
