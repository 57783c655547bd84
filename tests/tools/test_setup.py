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


NO_MAC = pytest.mark.skipif(sys.platform == "darwin", reason="not on a Mac: a browser may be among its applications")
# A Python whose Playwright has its Chromium at "browser" once "fetched" is there.
PLAYWRIGHT = """case "$*" in
    *executable_path*) echo "{0}/browser";;
    *"playwright install chromium") {1};;
    *) echo "asked for $*"; exit 9;;
esac"""


@NO_MAC
def test_where_a_chromium_is_installed_nothing_is_fetched(tmp_path):
    folder = small_copy(tmp_path)
    fake_python(tmp_path / "commands", "chromium-browser", "true")
    assert run_setup(folder, "--chromium", PATH=str(tmp_path / "commands")) == (0, "")


@NO_MAC
def test_where_none_is_playwright_s_installer_fetches_one_once(tmp_path):
    folder = small_copy(tmp_path)
    makes = f"printf '#!/bin/sh\\nexit 0\\n' > {tmp_path}/browser; chmod 755 {tmp_path}/browser"
    (folder / ".venv").mkdir()
    fake_python(folder / ".venv" / "bin", "python", PLAYWRIGHT.format(tmp_path, makes))
    path = only(tmp_path, "chmod", "sh")
    code, said = run_setup(folder, "--chromium", PATH=path)
    assert (code, said.count("\n")) == (0, 1)
    assert "Playwright" in said
    assert run_setup(folder, "--chromium", PATH=path) == (0, "")


@NO_MAC
@pytest.mark.parametrize(
    ("does", "words"),
    [
        pytest.param("echo getaddrinfo ENOTFOUND; exit 1", ["apt-get install chromium", "ENOTFOUND"], id="no network"),
        pytest.param(
            "printf '#!/bin/sh\\necho libnss3.so; exit 127\\n' > {0}/browser; chmod 755 {0}/browser",
            ["-m playwright install-deps chromium", "libnss3.so"],
            id="no libraries",
        ),
    ],
)
def test_where_none_can_be_had_it_says_what_to_install(tmp_path, does, words):
    folder = small_copy(tmp_path)
    (folder / ".venv").mkdir()
    fake_python(folder / ".venv" / "bin", "python", PLAYWRIGHT.format(tmp_path, does.format(tmp_path)))
    code, said = run_setup(folder, "--chromium", PATH=only(tmp_path, "chmod", "sh"))
    assert code == 1
    assert [word for word in words if word not in said] == []


def only(folder: Path, *commands: str) -> str:
    """A PATH with these commands of the machine and no other."""
    few = folder / "few"
    few.mkdir(exist_ok=True)
    for name in commands:
        (few / name).unlink(missing_ok=True)
        (few / name).symlink_to(shutil.which(name))
    return str(few)


# An interpreter that makes environments of itself and installs nothing; tools/setup.py it has run by a real one.
INTERPRETER = """case "$1" in
    -c) printf {0};;
    -m) [ "$2" != venv ] || {{ mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; }};;
    *) exec {1} "$@";;
esac"""


def test_make_takes_the_interpreter_that_python_names(tmp_path):
    folder = small_copy(tmp_path)
    shutil.copy(ROOT / "Makefile", folder)
    for version in ("3.9", "3.12", "3.13"):
        fake_python(tmp_path / "pythons", f"python{version}", INTERPRETER.format(version, BASE_PYTHON))
    fake_python(tmp_path / "pythons", "python3", INTERPRETER.format("3.12", BASE_PYTHON))

    def make(*words: str) -> tuple[int, str]:
        path = f"{tmp_path}/pythons:{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS", "MAKELEVEL")}
        command = ["make", "--no-print-directory", *words]
        ran = subprocess.run(
            command, cwd=folder, env=kept | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return ran.returncode, ran.stdout

    def version() -> str:
        return subprocess.check_output([folder / ".venv" / "bin" / "python", "-c", ""], text=True)

    assert make("setup-dev", "PYTHON=python3.13")[0] == 0
    assert version() == "3.13"
    assert make("setup-dev", "PYTHON=python3.13") == (0, "")
    assert make("setup") == (0, "")  # whoever names none is content with what is there
    assert version() == "3.13"
    code, said = make("setup", "PYTHON=python3.12")
    assert (code, version()) == (0, "3.12")
    assert ".venv has another Python than python3.12; making it anew." in said
    for named, sentence in (
        ("python3.9", "PYTHON=python3.9 is Python 3.9; the lab needs Python 3.11, 3.12 or 3.13."),
        ("nowhere", "There is no nowhere here. Install Python 3.11, 3.12 or 3.13"),
    ):
        code, said = make("setup", f"PYTHON={named}")
        assert code != 0
        assert sentence in said
    assert version() == "3.12"


def test_an_environment_beside_is_made_where_there_is_such_a_python(tmp_path):
    folder = small_copy(tmp_path)
    few = only(tmp_path, "mkdir", "cp", "sh")
    nowhere = {"PYENV_ROOT": str(tmp_path), "PATH": few}
    assert run_setup(folder, "--beside", "313", **nowhere) == (
        0,
        "There is no Python 3.13 here (looked for python3.13).\n",
    )
    fake_python(Path(few), "python3.13", INTERPRETER.format("3.13", BASE_PYTHON))
    assert run_setup(folder, "--beside", "313", **nowhere)[0] == 0
    assert (folder / ".venv313" / "bin" / "python").exists()
    assert not (folder / ".venv").exists()


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
