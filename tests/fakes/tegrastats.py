"""Programs that stand where tegrastats does: one plays lines of a Jetson TX2, the others misbehave."""

from pathlib import Path

LINE = (
    "RAM 2586/7846MB (lfb 1x1MB) SWAP 0/3923MB (cached 0MB) CPU [49%@806,off,off,7%@806,31%@960,0%@960] "
    "EMC_FREQ 10%@665 GR3D_FREQ 53%@140 APE 150 MCPU@41C GPU@39C PMIC@100C VDD_IN 3177/3177 VDD_SYS_GPU 383/383"
)
PROGRAMS = {
    "plays": f"while :; do echo '{LINE}'; sleep 0.2; done",
    "hangs": "trap '' TERM; sleep 600",
    "prints garbage": "while :; do printf 'no \\001 such\\377thing\\n'; sleep 0.05; done",
    "floods": f"n=0; while :; do n=$((n+1)); echo '{LINE} #'$n; done",
    "never ends its line": "tr '\\0' x < /dev/zero",
    "dies": "echo 'cannot open /dev/nvhost'; exit 3",
    "plays and dies": f"echo '{LINE}'; sleep 0.3; kill -9 $$",
}


def program(folder: Path, name: str) -> str:
    """The path of such a program, written into the folder."""
    path = folder / "tegrastats"
    path.write_text(f"#!/bin/sh\n{PROGRAMS[name]}\n")
    path.chmod(0o755)
    return str(path)
