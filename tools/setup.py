"""python3 tools/setup.py [OPTION]: makes an environment of the locked packages.

(nothing)     .venv with what the lab needs (requirements.txt)
--dev         the same, and what the tests need (requirements-dev.txt)
--python P    with either: .venv is made with that interpreter, and anew where it has another version
--beside 313  .venv313 with what the tests need, beside .venv, where there is a Python 3.13; so with 311 and 312
--worker36    .venv36: Python 3.6 with TensorFlow 2.6.2 for the workers' tests, where there is a Python 3.6
--worker37    .venv37: Python 3.7 with TensorFlow 2.7.4, as on a Jetson TX2, for `make check-tx2`
--chromium    a Chromium for the browser tests, by Playwright's installer where the machine has none

Nothing is done when nothing changed. Needs no package, and runs on Python 3.6 or newer only to be able to say
which Python is missing: the environment itself wants 3.11, 3.12 or 3.13. Ends with 0, with 1 and a sentence on
stderr, or with 130 when interrupted.
"""

import argparse
import ast
import glob
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WANTED = ((3, 11), (3, 12), (3, 13))  # in this order: the tests run on the first
BESIDE = {"{}{}".format(*version): version for version in WANTED}
MARK = "lab-setup"  # in the environment: "unfinished", or the digest of what is installed
INSTALLER = "requirements-installer.txt"
GIB = 1024**3
SPACE = {".venv36": 3 * GIB, ".venv37": 3 * GIB}  # measured: 1.3 GB
SPACE_OF_OTHERS = 4 * GIB  # measured: 3.1 GB with the tests' packages
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_APPS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
NO_NETWORK = re.compile(
    "Failed to establish a new connection|NewConnectionError|Temporary failure in name resolution|Name or service not "
    "known|nodename nor servname|Network is unreachable|ConnectTimeoutError|Read timed out|ProxyError|ConnectionError|"
    "Connection refused|SSLError|CERTIFICATE_VERIFY_FAILED"
)


class Stop(Exception):
    """A sentence for the person who started this."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="also what the tests need")
    parser.add_argument("--python", default="", help="the interpreter that .venv is made with")
    parser.add_argument("--beside", choices=BESIDE, help="only .venv311, .venv312 or .venv313, for the tests")
    parser.add_argument("--worker36", action="store_true", help="only .venv36, for the workers' tests on Python 3.6")
    parser.add_argument("--worker37", action="store_true", help="only .venv37, the same on Python 3.7")
    parser.add_argument("--chromium", action="store_true", help="only a Chromium, for the browser tests")
    options = parser.parse_args()
    try:
        if options.chromium:
            get_chromium(os.path.join(ROOT, ".venv", "bin", "python"))
        elif options.beside:
            setup_beside(BESIDE[options.beside])
        elif options.worker36:
            setup_worker((3, 6), "2.6")
        elif options.worker37:
            setup_worker((3, 7), "2.7")
        else:
            setup(options.dev, options.python)
    except Stop as sentence:
        sys.stderr.write(f"\n{sentence}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. Start it again: what was downloaded is kept.\n")
        return 130
    return 0


def setup(dev, named=""):
    """Make .venv hold exactly the locked packages. Raises Stop.

    named: the interpreter to make it with; "" takes what .venv has, or the first that is found.
    """
    lock_files = ["requirements-dev.txt"] if dev else ["requirements.txt"]
    version = version_of_named(named) if named else None
    # An environment made for the tests holds the lab's own packages in the same versions, and will do.
    if is_ready(".venv", lock_files, version) or is_ready(".venv", ["requirements-dev.txt"], version):
        return
    if sys.platform == "win32":
        raise Stop("The lab runs on Linux and macOS; on Windows inside WSL2 (wsl --install), where you start it again.")
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        raise Stop(
            "TensorFlow has no build for Macs with an Intel processor any more. Use a Linux machine or a newer Mac."
        )
    python, found = (named, "") if named else find_python(WANTED)
    if not python:
        raise Stop(
            "The lab needs Python 3.11, 3.12 or 3.13. Looked for python3.11, python3.12, python3.13, python3, python; "
            f"found {found}. Install one (Debian and Ubuntu: apt-get install python3 python3-venv) and start it again."
        )
    with Environment(".venv", python, lock_files, version) as environment:
        environment.install_the_rest(with_uv=True)


def setup_beside(version):
    """Make the environment for the tests on that Python, beside .venv; say so where it cannot be. Raises Stop."""
    name, lock_files = ".venv{}{}".format(*version), ["requirements-dev.txt"]
    if is_ready(name, lock_files):
        return
    python, _ = find_python((version,))
    if not python:
        print("There is no Python {}.{} here (looked for python{}.{}).".format(*version, *version))
        return
    with Environment(name, python, lock_files) as environment:
        environment.install_the_rest(with_uv=True)


def setup_worker(version, tensorflow):
    """Make the environment for the workers' tests on that Python; say so where it cannot be. Raises Stop.

    LAB_TEST_NO_SKIPS=1 wants the tests of every Python that this machine could have (tests/skips.py).
    """
    name = ".venv{}{}".format(*version)
    lock_files = ["requirements-worker{}{}.txt".format(*version)]
    if is_ready(name, lock_files):
        return
    without = "The workers' tests on Python {}.{} are left out: ".format(*version)
    if sys.platform != "linux" or platform.machine() != "x86_64":
        print(without + f"TensorFlow {tensorflow} has no build of it for this machine.")
        return
    python, _ = find_python((version,))
    if not python:
        without += "there is no Python {}.{} here (looked for python{}.{}).".format(*version, *version)
        if os.environ.get("LAB_TEST_NO_SKIPS", "") not in ("", "0"):
            raise Stop(without + " LAB_TEST_NO_SKIPS wants them.")
        print(without)
        return
    with Environment(name, python, lock_files) as environment:
        environment.install_the_rest(with_uv=False)  # uv runs on no Python as old as that


class Environment:
    """A virtual environment while it is being made. Leaves it marked unfinished when anything goes wrong."""

    def __init__(self, name, python, lock_files, version=None):
        self.name = name
        self.base_python = python
        self.lock_files = lock_files
        self.version = version  # that it must have, or None
        self.folder = os.path.join(ROOT, name)
        self.python = os.path.join(self.folder, "bin", "python")

    def __enter__(self):
        self.turn = take_turn()
        try:
            with open(os.path.join(self.folder, MARK)) as mark:
                usable = mark.read() != "unfinished" and os.path.exists(self.python)
        except OSError:
            usable = False
        if usable and self.version and version_of(self.python) != self.version:
            print(f"{self.name} has another Python than {self.base_python}; making it anew.")
            shutil.rmtree(self.folder)
            usable = False
        if not usable:  # half a package looks like a whole one: begin anew, downloads are kept elsewhere
            if os.path.exists(self.folder):
                print(f"{self.name} is not one that was finished here; making it anew.")
                shutil.rmtree(self.folder)
            check_space(ROOT, SPACE.get(self.name, SPACE_OF_OTHERS))
            os.mkdir(self.folder)
        self.mark("unfinished")
        if not usable:
            print(f"Making {self.name} with {self.base_python}")
            made = run_quietly([self.base_python, "-m", "venv", self.folder])
            if made.returncode:
                raise Stop(
                    f"{self.base_python} cannot make a virtual environment (Debian and Ubuntu: apt-get install "
                    f"python3-venv):\n{made.stdout.strip()}"
                )
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.mark(digest(self.lock_files))
        os.close(self.turn)

    def mark(self, text):
        with open(os.path.join(self.folder, MARK), "w") as mark:
            mark.write(text)

    def install_the_rest(self, with_uv):
        installer = self.pip("install", "--quiet", "--require-hashes", "-r", os.path.join(ROOT, INSTALLER))
        first = run_quietly(installer)
        if first.returncode and NO_NETWORK.search(first.stdout):
            raise Stop(
                "The package index cannot be reached, so nothing can be installed. Connect this machine, or name the "
                "proxy, certificate or index it should use in pip's settings, and start it again. pip "
                f"says:\n{last_lines(first.stdout)}"
            )
        uv = os.path.join(self.folder, "bin", "uv")
        lock_files = [os.path.join(ROOT, name) for name in self.lock_files]
        if with_uv:
            if os.path.exists(uv):
                settings = uv_settings(run_quietly(self.pip("config", "list")).stdout, os.environ)
                command = [uv, "pip", "sync", "--require-hashes", "--compile-bytecode", "--python", self.python]
                if subprocess.call(command + lock_files, env=dict(os.environ, **settings), cwd=ROOT) == 0:
                    return
                print("uv could not install the packages (its reason is above); trying pip, which is slower.")
            else:
                print(f"uv could not be installed; using pip, which is slower. pip says:\n{last_lines(first.stdout)}")
        elif first.returncode:
            raise Stop(f"pip could not be brought up to date. It says:\n{last_lines(first.stdout)}")
        print("Installing {} with pip; this takes some minutes.".format(", ".join(self.lock_files)))
        arguments = [argument for name in lock_files for argument in ("-r", name)]
        if subprocess.call(self.pip("install", "--quiet", "--require-hashes") + arguments, cwd=ROOT):
            raise Stop(
                "The packages could not be installed; the lines above say why. "
                "Start it again once that is mended: what was downloaded is kept."
            )

    def pip(self, *arguments):
        return [self.python, "-m", "pip", "--disable-pip-version-check", *arguments]


def is_ready(name, lock_files, version=None):
    """Whether the environment holds what the lock files say, judged by the mark that the last setup left.

    version: that its Python must have, None for any.
    """
    python = os.path.join(ROOT, name, "bin", "python")
    try:
        with open(os.path.join(ROOT, name, MARK)) as mark:
            ready = mark.read() == digest(lock_files) and os.path.exists(python)
    except OSError:
        return False
    return ready and (version is None or version_of(python) == version)


def digest(lock_files):
    """The sha256 of the names and bytes of the lock files, and of those that they build on."""
    total = hashlib.sha256()
    for name in [INSTALLER, "requirements.txt", *lock_files]:
        with open(os.path.join(ROOT, name), "rb") as file:
            total.update(name.encode() + b"\0" + file.read())
    return total.hexdigest()


def find_python(wanted):
    """(path, what was found): the first interpreter of a wanted version that answers, None where there is none."""
    found = []
    for candidate in candidates(wanted):
        version = version_of(candidate)
        if version in wanted:
            return candidate, ""
        if version:
            found.append("{} ({}.{})".format(candidate, *version))
    return None, ", ".join(found) or "none of them"


def candidates(wanted):
    names = ["python{}.{}".format(*version) for version in wanted] + ["python3", "python"]
    paths = [path for path in map(shutil.which, names) if path]
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    for version in wanted:  # versions that pyenv has and its shims do not offer in this folder
        paths += sorted(glob.glob(os.path.join(pyenv, "versions", "{}.{}.*".format(*version), "bin", "python")))
    return paths


def version_of(python):
    """(3, 11), or None for a file that is no Python: a shim without a version behind it."""
    code = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    try:
        answer = run_quietly([python, "-c", code])
    except OSError:
        return None
    numbers = re.match(r"(\d+)\.(\d+)$", answer.stdout)
    return (int(numbers.group(1)), int(numbers.group(2))) if numbers and answer.returncode == 0 else None


def version_of_named(python):
    """The version of the interpreter that PYTHON= names. Raises Stop where it is none that the lab runs on."""
    version = version_of(python)
    if version not in WANTED:
        named = "Python {}.{}".format(*version) if version else "no Python that answers"
        raise Stop(
            f"PYTHON={python} is {named}; the lab needs Python 3.11, 3.12 or 3.13. Name one, or leave PYTHON= away."
        )
    return version


def check_space(folder, needed):
    """Raise Stop where the disk of the folder has fewer free bytes than needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Stop(
            f"The packages need {needed / GIB:.0f} GB of disk space; {folder} has {free / GIB:.1f} GB left. Make room "
            "and start it again."
        )


def take_turn():
    """Wait for another setup of this folder to end. The turn is over when the returned descriptor is closed."""
    import fcntl  # not on Windows, where setup has said so before

    turn = os.open(os.path.join(ROOT, INSTALLER), os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("Another setup is running here; waiting for it.")
        fcntl.flock(turn, fcntl.LOCK_EX)
    return turn


def uv_settings(pip_config, environ):
    """The environment variables that make uv use what pip was told: certificate, proxy, indexes.

    pip_config: what `pip config list` prints, one `section.name='value'` a line; ":env:" are PIP_ variables, which
    pip lets win. What is set for uv itself is left alone.
    """
    told = {}
    for line in sorted(pip_config.splitlines(), key=lambda line: line.startswith(":env:")):
        setting = re.match(r"(?::env:|global|install)\.([\w-]+)=('.*'|\".*\")$", line)
        if setting:
            told[setting.group(1)] = ast.literal_eval(setting.group(2))
    settings = {"UV_SYSTEM_CERTS": "1"}  # what the machine trusts, as pip does
    if "cert" in told:
        settings["SSL_CERT_FILE"] = told["cert"]
    if "proxy" in told:
        settings["ALL_PROXY"] = told["proxy"]
    if "index-url" in told:
        settings["UV_DEFAULT_INDEX"] = told["index-url"]
    if "extra-index-url" in told:
        settings["UV_INDEX"] = " ".join(told["extra-index-url"].split())
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip: any index may have it; the hash decides
    if "find-links" in told:
        settings["UV_FIND_LINKS"] = ",".join(told["find-links"].split())
    if "trusted-host" in told:
        settings["UV_INSECURE_HOST"] = " ".join(told["trusted-host"].split())
    if "timeout" in told or "default-timeout" in told:
        settings["UV_HTTP_TIMEOUT"] = told.get("timeout") or told["default-timeout"]
    return {name: value for name, value in settings.items() if name not in environ}


def find_chromium(python):
    """The path of a Chromium or Chrome: the machine's own, else the one of that interpreter's Playwright, or ""."""
    own = list(filter(None, map(shutil.which, CHROMIUM))) + list(filter(os.path.exists, CHROMIUM_APPS))
    if own:
        return own[0]
    code = "import playwright.sync_api as api\nwith api.sync_playwright() as p: print(p.chromium.executable_path)"
    path = run_quietly([python, "-c", code]).stdout.strip()
    return path if os.path.exists(path) else ""


def get_chromium(python):
    """Have Playwright's installer fetch a Chromium where there is none. Raises Stop."""
    if find_chromium(python):
        return
    print("There is no Chromium here. Playwright's installer fetches one for the browser tests.")
    fetched = run_quietly([python, "-m", "playwright", "install", "chromium"])
    chromium = find_chromium(python)
    if not chromium:
        raise Stop(
            "The browser tests need Chromium. There is none, and Playwright's installer could not fetch one. Install "
            "it (Debian and Ubuntu: apt-get install chromium) and start the tests again. It "
            f"says:\n{last_lines(fetched.stdout)}"
        )
    started = run_quietly([chromium, "--version"])
    if started.returncode:
        raise Stop(
            "Playwright's Chromium does not start here. What it lacks comes with "
            f"`sudo {python} -m playwright install-deps chromium`. It says:\n{last_lines(started.stdout)}"
        )


def last_lines(text, count=4):
    return "\n".join("    " + line for line in text.strip().splitlines()[-count:])


def run_quietly(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)


if __name__ == "__main__":
    sys.exit(main())
