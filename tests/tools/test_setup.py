"""tools/setup.py, run in small copies of the project: with what it needs missing, and with nothing to install."""

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SPEC = importlib.util.spec_from_file_location("lab_setup", ROOT / "tools" / "setup.py")
setup = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(setup)

BASE_PYTHON = Path(sys.base_prefix) / "bin" / "python3"
NOTHING = "# nothing\n"


def small_copy(folder: Path) -> Path:
    """The project without packages: locks that name none."""
    (folder / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup.py", folder / "tools")
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-installer.txt", "requirements-worker36.txt"):
        (folder / name).write_text(NOTHING)
    return folder


def fake_python(folder: Path, name: str, answer: str) -> None:
    """A command of that name that prints the answer, whatever it is asked."""
    folder.mkdir(exist_ok=True)
    command = folder / name
    command.write_text(f"#!/bin/sh\n{answer}\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)


def run_setup(folder: Path, *arguments: str, python: Path = BASE_PYTHON, **environ: str):
    """Run the copy with pip's settings taken away. Returns (exit code, what it said)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    kept |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1", "HOME": str(folder)}
    ran = subprocess.run(
        [python, folder / "tools" / "setup.py", *arguments],
        env=kept | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    return ran.returncode, ran.stdout


def test_the_second_time_is_quick_until_the_lock_changes(tmp_path):
    folder = small_copy(tmp_path)
    code, said = run_setup(folder)
    assert code == 0, said
    assert "uv could not be installed; using pip, which is slower." in said  # the lock of the installer names none
    assert (folder / ".venv" / "bin" / "python").exists()

    python = folder / ".venv" / "bin" / "python"
    python.rename(python.with_name("set-aside"))
    fake_python(python.parent, "python", f"touch {folder}/started; exit 1")
    assert run_setup(folder) == (0, "")
    assert not (folder / "started").exists()  # neither pip nor anything else
    python.with_name("set-aside").rename(python)

    (folder / "requirements.txt").write_text("# still nothing\n")
    code, said = run_setup(folder)
    assert code == 0
    assert "Installing requirements.txt" in said
    assert "Making .venv" not in said  # the environment itself is kept


def test_without_a_network_it_says_so_and_goes_on_once_there_is_one(tmp_path):
    folder = small_copy(tmp_path)
    (folder / "requirements-installer.txt").write_text("uv==0.13.9 --hash=sha256:" + "0" * 64 + "\n")
    code, said = run_setup(folder, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert code == 1
    assert "The package index cannot be reached" in said

    (folder / "requirements-installer.txt").write_text(NOTHING)
    code, said = run_setup(folder)
    assert code == 0, said
    assert ".venv is not one that was finished here; making it anew." in said


def test_a_wrong_python_is_named_with_what_was_looked_for(tmp_path):
    folder = small_copy(tmp_path)
    commands = tmp_path / "commands"
    fake_python(commands, "python3", "printf 3.9")
    fake_python(commands, "python3.12", "echo 'shim: no such version'; exit 127")
    code, said = run_setup(folder, PATH=str(commands), PYENV_ROOT=str(tmp_path))
    assert code == 1
    assert "needs Python 3.11, 3.12 or 3.13. Looked for python3.11, python3.12, python3.13, python3, python" in said
    assert f"found {commands / 'python3'} (3.9)." in said
    assert not (folder / ".venv").exists()


def test_without_any_python_it_says_that_too(tmp_path):
    python, found = find_with_path(tmp_path, ((3, 11),))
    assert (python, found) == (None, "none of them")


def find_with_path(folder: Path, wanted: tuple) -> tuple:
    """setup.find_python in a process that has nothing but the folder on its PATH."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); import setup; print(setup.find_python({wanted!r}))"
    )
    environ = {"PATH": str(folder), "PYENV_ROOT": str(folder / "pyenv"), "HOME": str(folder)}
    ran = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    return eval(ran.stdout)


def test_a_python_that_only_pyenv_has_is_found(tmp_path):
    binaries = tmp_path / "pyenv" / "versions" / "3.12.1" / "bin"
    binaries.mkdir(parents=True)
    fake_python(binaries, "python", "printf 3.12")
    assert find_with_path(tmp_path, ((3, 11), (3, 12)))[0] == str(binaries / "python")


def test_the_version_the_tests_run_on_is_taken_first(tmp_path):
    for minor in (11, 12, 13):
        fake_python(tmp_path, f"python3.{minor}", f"printf 3.{minor}")
    assert find_with_path(tmp_path, setup.WANTED)[0] == str(tmp_path / "python3.11")


def test_a_python_without_venv_is_said_with_the_package_that_has_it(tmp_path):
    folder = small_copy(tmp_path)
    commands = tmp_path / "commands"
    fake_python(
        commands, "python3", 'case "$1" in -c) printf 3.11;; *) echo "ensurepip is not available"; exit 1;; esac'
    )
    code, said = run_setup(folder, PATH=str(commands), PYENV_ROOT=str(tmp_path))
    assert code == 1
    assert "apt-get install python3-venv" in said
    assert "ensurepip is not available" in said


def test_a_full_disk_is_said_with_figures(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(setup.Stop, match=rf"need \d+ GB of disk space; {tmp_path} has \d+\.\d GB left"):
        setup.check_space(str(tmp_path), free + setup.GIB)
    setup.check_space(str(tmp_path), 0)


@pytest.mark.skipif(sys.platform == "darwin", reason="not on a Mac: a browser may be among its applications")
def test_a_machine_without_chromium_is_told_how_to_get_it(tmp_path):
    folder = small_copy(tmp_path)
    code, said = run_setup(folder, "--chromium", PATH=str(tmp_path))
    assert code == 1
    assert "apt-get install chromium" in said
    fake_python(tmp_path / "commands", "chromium-browser", "true")
    assert run_setup(folder, "--chromium", PATH=str(tmp_path / "commands")) == (0, "")


def test_a_machine_without_python_36_is_told_and_goes_on(tmp_path):
    nowhere = {"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    code, said = run_setup(small_copy(tmp_path), "--worker36", **nowhere, LAB_TEST_NO_SKIPS="")
    assert code == 0
    assert "there is no Python 3.6 here" in said
    code, said = run_setup(tmp_path, "--worker36", **nowhere, LAB_TEST_NO_SKIPS="1")
    assert code == 1
    assert "there is no Python 3.6 here" in said


def test_uv_is_told_what_pip_was_told():
    told = "\n".join(
        [
            "global.cert='/etc/ssl/one.pem'",
            ":env:.cert='/etc/ssl/two.pem'",
            "global.index-url='https://mirror.example/simple'",
            "global.extra-index-url='\\nhttps://a.example/simple\\nhttps://b.example/simple'",
            "install.trusted-host='mirror.example'",
            "global.proxy='http://proxy.example:3128'",
            "global.break-system-packages='true'",
            "not a setting",
        ]
    )
    assert setup.uv_settings(told, {"UV_DEFAULT_INDEX": "https://own.example/simple"}) == {
        "UV_SYSTEM_CERTS": "1",
        "SSL_CERT_FILE": "/etc/ssl/two.pem",
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "mirror.example",
        "ALL_PROXY": "http://proxy.example:3128",
    }


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-installer.txt"])
def test_a_lock_names_no_index_and_a_hash_for_every_package(name):
    lines = (ROOT / name).read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    pinned = [number for number, line in enumerate(lines) if "==" in line and not line.startswith((" ", "#"))]
    assert pinned
    assert all(lines[number + 1].lstrip().startswith("--hash=sha256:") for number in pinned)


def test_the_tests_run_with_the_labs_own_versions():
    def pins(name):
        return {
            line.split(" \\")[0] for line in (ROOT / name).read_text().splitlines() if "==" in line and line[0] != " "
        }

    assert pins("requirements.txt") <= pins("requirements-dev.txt")
