"""What belongs together on a Jetson TX2: Dockerfile.tx2, its locks, and what proves them (tools/check_tx2.py)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import check_tx2

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile.tx2").read_text()
STEPS = "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#"))


def locked(name: str) -> set[tuple[str, str]]:
    """(package, version) of a lock. Each has a version and at least one hash."""
    found = set()
    for entry in re.split(r"\n(?=\S)", re.sub(r"(?m)^ *#.*\n", "", (ROOT / name).read_text()).strip()):
        package = re.match(r"([\w.-]+)==(\S+)", entry)
        assert package, entry
        assert "--hash=sha256:" in entry, entry
        found.add((package[1], package[2]))
    return found


def named(name: str) -> set[str]:
    """The packages of a requirements.in."""
    return set(re.findall(r"(?m)^([\w-]+)", (ROOT / name).read_text())) - {"-r", "-c"}


def test_the_boards_dashboard_has_the_labs_own_packages_without_tensorflow():
    board = locked("requirements-tx2.txt")
    without = named("requirements-tx2-without.in")
    assert "tensorflow" in without
    assert named("requirements.in") - without <= {package for package, _ in board}
    assert not without & {package for package, _ in board}
    # Another version only where requirements-tx2.in says why.
    assert {package for package, _ in board - locked("requirements.txt")} <= named("requirements-tx2.in")


def test_the_boards_workers_have_what_their_tests_had_on_python_36():
    board = locked("requirements-tx2-worker.txt")
    assert {package for package, _ in board} == named("requirements-tx2-worker.in")
    assert board <= locked("requirements-worker36.txt")


def test_an_old_docker_can_build_it():
    assert not re.search(r"--mount|--chmod|--link|--exclude|<<", STEPS)
    assert not re.search(r"import tensorflow|--privileged|PIP_NO_CACHE_DIR=1[\s\S]*pip install", STEPS)
    for step in re.findall(r"(?m)^COPY (.+) /opt/$", STEPS):
        assert all((ROOT / name).exists() for name in step.split())


def test_the_page_the_health_check_and_the_image_mean_one_port():
    assert set(re.findall(r"EXPOSE (\d+)|127\.0\.0\.1:(\d+)|--port (\d+)", STEPS)) == {
        ("8501", "", ""),
        ("", "8501", ""),
        ("", "", "8501"),
    }


def test_pip_is_told_of_uv_although_it_is_for_another_python():
    lock = (ROOT / "requirements-installer.txt").read_text()
    expression = re.search(r"sed '([^']+)' requirements-installer\.txt", STEPS)
    told = subprocess.run(["sed", expression[1]], input=lock, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert told == check_tx2.without_markers(lock)
    assert re.search(r"(?m)^uv==[\d.]+ \\$", told)


@pytest.mark.parametrize(
    "outcomes, code",
    [
        (dict.fromkeys(check_tx2.PROOFS, check_tx2.PROVED), 0),
        (dict.fromkeys(check_tx2.NEVER_SKIPPED, check_tx2.PROVED) | {"image": check_tx2.SKIPPED}, 0),
        (dict.fromkeys(check_tx2.PROOFS, check_tx2.PROVED) | {"lock": check_tx2.SKIPPED}, 2),
        (dict.fromkeys(check_tx2.PROOFS, check_tx2.PROVED) | {"image": check_tx2.FAILED}, 1),
        ({}, 2),
    ],
)
def test_what_must_not_be_missing_is_missed(outcomes, code):
    assert check_tx2.exit_code(outcomes) == code


def test_the_dockerfile_is_clean():
    if sys.platform != "linux":
        pytest.skip("not on a Mac: hadolint is installed on Linux alone")
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint
    said = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile.tx2"], stdout=subprocess.PIPE, text=True)
    assert (said.returncode, said.stdout) == (0, "")
