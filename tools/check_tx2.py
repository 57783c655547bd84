"""python -m tools.check_tx2 [--only NAME ...]: proves what can be proved of Dockerfile.tx2 without a Jetson TX2.

Started by `make check-tx2`, which makes the environments with the other tools. Installs buildah and debootstrap with
apt-get where it may. What it makes stays in .tx2 for the next time, what was said in .tx2/logs. Ends with one line for
each proof, and how many were proved and skipped.

0  nothing failed
1  something does not hold
2  nothing failed, but one of those that must not be missing was skipped: lock, vermin, python3.6, browser

Everything runs on the processor of this machine: that the board's own takes it stays to be tried there.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tools import setup

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".tx2"
LOGS = WORK / "logs"
UV = ROOT / ".venv" / "bin" / "uv"
GLIBC = 27  # 2.27, Ubuntu 18.04's
PROVED, SKIPPED, FAILED = "proved", "skipped", "failed"
NEVER_SKIPPED = ("lock", "vermin", "python3.6", "browser")

# Debian has no package of Ubuntu's keys. 790B C727 7767 219C 42C8 6F93 3B4F E6AC C0B2 1F32 signed Ubuntu 18.04.
UBUNTU_KEYS = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2018.02.28_all.deb"  # in Ubuntu's archive
UBUNTU_KEYS_SHA256 = "c0763889cec4196839354d99b71f3c369dfa51ff17f59cabea87d1c7d55fe5e0"
DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
BASE, IMAGE = "localhost/lab-tx2-base", "localhost/lab-tx2"
DEBOOTSTRAP_BIONIC = Path("/usr/share/debootstrap/scripts/bionic")
# What makes an Ubuntu 18.04 a stand-in for NVIDIA's image, its archive being at UBUNTU. pip 21 is put beside pip 9,
# which stays.
BASE_STEPS = [
    "set -e",
    # As the board: Python 3.6.9 and OpenSSL 1.1.1 came after Ubuntu 18.04 itself.
    "printf '%s main universe\\n' 'deb UBUNTU bionic' 'deb UBUNTU bionic-updates' > /etc/apt/sources.list",
    "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y upgrade && apt-get clean",
    "python3 -m pip --version | grep '^pip 9'",
    "python3 -m pip install --no-cache-dir --target /tmp/pip pip==21.3.1",
    "export PYTHONPATH=/tmp/pip",
    "python3 -m pip install --no-cache-dir --require-hashes -r /lock.txt",
    "python3 -m pip uninstall --yes pillow tensorflow-hub",
    "rm -r /tmp/pip",
]
# What NVIDIA's image sets for every process (Dockerfile.tensorflow of dusty-nv/jetson-containers).
NVIDIAS_ENVIRONMENT = (
    "DEBIAN_FRONTEND=noninteractive",
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=cpp",
    "LD_LIBRARY_PATH=/usr/local/cuda/lib64:",
)
PATIENCE_SECONDS = 1200.0  # until the lab in the image answers: it fetches weights first


class Skipped(Exception):
    """Why a proof cannot be had here."""


class Failed(Exception):
    """What does not hold."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PROOFS, default=list(PROOFS), help="the others are skipped")
    options = parser.parse_args()
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    said: list[str] = []
    outcomes: dict[str, str] = {}
    for name, prove in PROOFS.items():
        begun = time.monotonic()
        try:
            if name not in options.only:
                raise Skipped("it was not asked for")
            print(f"{name} ...", flush=True)
            outcomes[name], words = PROVED, prove()
        except Skipped as why:
            outcomes[name], words = SKIPPED, str(why)
        except Failed as why:
            outcomes[name], words = FAILED, str(why)
        said.append(f"{outcomes[name]:8} {name:10} {words} ({time.monotonic() - begun:.0f} s)")
        print(said[-1], flush=True)
    found = list(outcomes.values())
    print("", *said, "", ", ".join(f"{found.count(each)} {each}" for each in (PROVED, SKIPPED, FAILED)), sep="\n")
    return exit_code(outcomes)


def exit_code(outcomes: Mapping[str, str]) -> int:
    """Of what each proof came to."""
    if FAILED in outcomes.values():
        return 1
    return 2 if any(outcomes.get(name, SKIPPED) == SKIPPED for name in NEVER_SKIPPED) else 0


def prove_dockerfile() -> str:
    run("hadolint", [ROOT / ".venv/bin/hadolint", "--no-color", "Dockerfile.tx2"])
    return "Dockerfile.tx2 is clean"


def prove_lock() -> str:
    """Whether every package has a wheel for the board, and none wants one that is not in the lock."""
    wheels = WORK / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    installer = WORK / "uv.txt"  # without its markers, as Dockerfile.tx2 does it
    installer.write_text(without_markers((ROOT / "requirements-installer.txt").read_text()))
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(17, GLIBC + 1)] + ["manylinux2014_aarch64", "any"]
    options = [option for each in platforms for option in ("--platform", each)]
    locks: list[tuple[Path, str, list[str]]] = [
        (ROOT / "requirements-tx2.txt", "3.11", ["cp311", "abi3", "none"]),
        (ROOT / "requirements-tx2-worker.txt", "3.6", ["cp36m", "abi3", "none"]),
        (installer, "3.11", ["none"]),
    ]
    for lock, python, tags in locks:
        command: list[object] = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", wheels]
        command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--implementation", "cp"]
        command += ["--python-version", python, *(option for tag in tags for option in ("--abi", tag)), *options]
        run("lock", [*command, "--requirement", lock])
    command = [UV, "pip", "install", "--dry-run", "--target", WORK / "nowhere", "--python-version", "3.11"]
    command += ["--python-platform", "aarch64-manylinux_2_28", "--only-binary", ":all:", "--require-hashes"]
    run("lock", [*command, "--requirement", ROOT / "requirements-tx2.txt"])
    names = [file.name for file in wheels.iterdir()]
    built = sum("aarch64" in name for name in names)
    return (
        f"{len(names)} packages from wheels alone, {built} of them built for aarch64 with glibc 2.{GLIBC} or older; "
        "their hashes are the locks', and the dashboard's want none that is not in its lock"
    )


def without_markers(lock: str) -> str:
    """As the `sed` of Dockerfile.tx2: pip leaves out what is marked as for another Python."""
    return re.sub(r" ; python_full_version[^\\\n]*", " ", lock)


def prove_old_syntax() -> str:
    code = ["engine/__init__.py", "engine/contract", "engine/worker", "tests/worker"]
    run("vermin", [ROOT / ".venv/bin/vermin", "-q", "-t=3.6-", "--no-tips", "--violations", *code])
    return "contract, workers and their tests are Python 3.6"


def prove_python36() -> str:
    return prove_workers("3.6", "2.6.2", "")


def prove_python37() -> str:
    return prove_workers("3.7", "2.7.4", "not thorough")


def prove_workers(version: str, tensorflow: str, which: str) -> str:
    """The workers' tests on an old Python. `which`: of pytest's marks; "" for all of them."""
    environment = ROOT / f".venv{version.replace('.', '')}"
    if not (environment / setup.MARK).exists():
        raise Skipped(f"there is no Python {version} here, or no TensorFlow for it")
    passed, skipped = run_tests(
        f"python{version}",
        [
            environment / "bin" / "python",
            "-m",
            "pytest",
            "-c",
            "tests/worker/pytest36.ini",
            "-m",
            which,
            "tests/worker",
        ],
    )
    return f"{passed} tests of the workers pass with TensorFlow {tensorflow}, {skipped} of them are skipped"


def prove_in_the_browser() -> str:
    if not (ROOT / ".venv36" / setup.MARK).exists():
        raise Skipped("there is no Python 3.6 here, or no TensorFlow for it")
    run_tests("browser", [sys.executable, "-m", "pytest", "tests/browser/test_two_interpreters.py"])
    return f"the dashboard on {platform.python_version()} has Python 3.6 race three learning rates"


def run_tests(name: str, command: Sequence[object]) -> tuple[int, int]:
    """How many passed and were skipped. Raises Failed, and Skipped where none ran."""
    report = LOGS / f"{name}.xml"
    report.unlink(missing_ok=True)
    run(name, [*command, "-q", f"--junit-xml={report}"])
    suite = ElementTree.parse(report).getroot()[0]
    skipped = int(suite.get("skipped", 0))
    passed = int(suite.get("tests", 0)) - skipped
    if not passed:
        raise Skipped("each of the tests was skipped")
    return passed, skipped


def prove_image() -> str:
    """The steps of Dockerfile.tx2, one after the other, on an Ubuntu 18.04 that stands in for NVIDIA's image."""
    install_builders()
    base = make_base()
    arguments, python = find_standalone_python(base)
    arguments += [f"--build-arg=PIP_INDEX_URL={index_url()}", f"--build-arg=UV_DEFAULT_INDEX={index_url()}"]
    arguments += ["--build-arg", f"BASE_IMAGE={base}", "--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    command = ["build", "--isolation", "chroot", "--format", "docker", "--no-cache", *arguments]
    buildah("image", *command, "--file", "Dockerfile.tx2", "--tag", IMAGE, ".")
    return (
        f"every step of Dockerfile.tx2 ran on Ubuntu 18.04 ({platform.machine()}) with its Python 3.6, its pip 9 and "
        f"TensorFlow 2.6.2 in the place of NVIDIA's 2.7; the dashboard's Python: {python}"
    )


def prove_lab_in_image() -> str:
    """The image's own command and health check, and a race that its dashboard's Python hands to the old one."""
    if not shutil.which("buildah") or buildah("lab", "images", "--quiet", IMAGE, check=False).returncode:
        raise Skipped("there is no image to start")
    from tests.photo_folders import draw_photos

    scratch = WORK / "lab"
    shutil.rmtree(scratch, ignore_errors=True)
    draw_photos(scratch / "photos" / "lamps")
    container = buildah("lab", "from", IMAGE).stdout.strip()
    config = json.loads(buildah("lab", "inspect", "--type", "image", IMAGE).stdout)["Docker"]["config"]
    port = free_port()
    given = ["--volume", f"{scratch / 'photos'}:/photos:ro"]
    given += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    # The board's processor is not this one: what this one needs is in this environment, if anywhere.
    given += [f"--env=OPENBLAS_CORETYPE={os.environ.get('OPENBLAS_CORETYPE', '')}"]

    def inside(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return buildah("lab", "run", "--isolation", "chroot", *given, container, "--", *command, check=check)

    def elsewhere(words: list[str]) -> list[str]:
        return [word.replace("8501", str(port)) for word in words]  # the port may be taken on this machine

    started = ["run", "--isolation", "chroot", *given, container, "--", *elsewhere(config["Cmd"])]
    with open(LOGS / "lab-server.log", "w") as log:
        server = subprocess.Popen(
            buildah_command(*started), cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while inside(*elsewhere(config["Healthcheck"]["Test"][1:]), check=False).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"the lab does not answer; it said: {last_lines(LOGS / 'lab-server.log')}")
            time.sleep(2)
        if status(f"http://127.0.0.1:{port}/") not in (401, 403):
            raise Failed("the lab in the image lets in who has no token")
        versions = inside(
            "python", "-c", "import platform as p; print(p.python_version(), *p.libc_ver())"
        ).stdout.strip()
        old = inside("/usr/bin/python3", "--version").stdout.strip()
        if inside("python", "-c", "import tensorflow", check=False).returncode == 0:
            raise Failed("the dashboard's Python has TensorFlow")
        race = [
            "--image_dir",
            "/photos/lamps",
            "--architecture",
            "mobilenet_v2",
            "--learning_rate",
            "0.005,0.5,1.0",
            "--how_many_training_steps",
            "100",
        ]
        inside("python", "-m", "engine", "retrain", *race)
        told = inside("sh", "-c", "cat /data/runs/*/events.jsonl").stdout
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
        buildah("lab", "rm", container)
    if '"state":"done"' not in told or "TensorFlow 2.6.2" not in told:
        raise Failed("the race of three learning rates is not done, or was not TensorFlow 2.6.2's")
    return (
        "the image's command serves the pages, its health check agrees, nobody comes in without a token; "
        f"the dashboard's Python and glibc ({versions}) had {old} race three learning rates"
    )


def install_builders() -> None:
    missing = [name for name in ("buildah", "debootstrap") if not shutil.which(name)]
    if os.geteuid() != 0:
        raise Skipped("building needs root")
    if missing and not shutil.which("apt-get"):
        raise Skipped(f"there is no {' and no '.join(missing)} here, and no apt-get to install it")
    if missing:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        run("image", ["apt-get", "update", "-q"], environment)
        run("image", ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing], environment)


def make_base() -> str:
    """The stand-in for NVIDIA's image: Ubuntu 18.04, its pip 9 and TensorFlow; no Pillow, no tensorflow-hub.

    Returns its name. Raises Skipped where Ubuntu's archive cannot be reached.
    """
    steps = "\n".join(BASE_STEPS).replace("UBUNTU", ubuntu_archive())
    what = "\n".join([steps, *NVIDIAS_ENVIRONMENT]).encode() + (ROOT / "requirements-worker36.txt").read_bytes()
    name = f"{BASE}:{hashlib.sha256(what).hexdigest()[:12]}"
    if not buildah("image", "inspect", "--type", "image", name, check=False).returncode:
        return name
    container = buildah("image", "from", "scratch").stdout.strip()
    buildah("image", "add", container, str(make_ubuntu()), "/")
    own = ("LANG=C.UTF-8", f"PIP_CERT={CERTIFICATES}", "UV_SYSTEM_CERTS=1")
    for setting in (*own, *NVIDIAS_ENVIRONMENT):
        buildah("image", "config", "--env", setting, container)
    given = ["--volume", f"{ROOT / 'requirements-worker36.txt'}:/lock.txt:ro"]
    given += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    steps = f"export PIP_INDEX_URL={index_url()}\n{steps}"
    buildah("image", "run", "--isolation", "chroot", *given, container, "--", "sh", "-c", steps)
    buildah("image", "commit", "--format", "docker", "--rm", container, name)
    return name


def ubuntu_archive() -> str:
    """Where debootstrap itself looks for Ubuntu 18.04."""
    known = re.findall(r"default_mirror (\S+/ubuntu)$", DEBOOTSTRAP_BIONIC.read_text(), re.MULTILINE)
    return next(address for address in known if "old-releases" not in address)


def debian_archive() -> str:
    """Where this machine's apt looks for Debian's packages. Raises Skipped where it is no Debian."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Label: Debian"]
    known = run("python", command, read=True, check=False).stdout.split()
    if not known:
        raise Skipped("neither uv's builds of Python nor Debian's source of it can be reached: this is no Debian")
    return known[0]


def make_ubuntu() -> Path:
    """The files of a small Ubuntu 18.04 with Python 3.6 and pip 9."""
    folder, done = WORK / "ubuntu", WORK / "ubuntu.done"
    if done.exists():
        return folder
    try:
        with urllib.request.urlopen(f"{ubuntu_archive()}/{UBUNTU_KEYS}", timeout=60) as answer:
            package = answer.read()
    except OSError as error:
        raise Skipped(f"Ubuntu's archive cannot be reached ({error})") from error
    if hashlib.sha256(package).hexdigest() != UBUNTU_KEYS_SHA256:
        raise Failed(f"{UBUNTU_KEYS} is another file than it was")
    keys = WORK / "ubuntu-keys"
    keys.with_suffix(".deb").write_bytes(package)
    run("image", ["dpkg-deb", "--extract", keys.with_suffix(".deb"), keys])
    shutil.rmtree(folder, ignore_errors=True)
    command: list[object] = ["debootstrap", "--variant=minbase", "--components=main,universe"]
    command += [f"--keyring={keys}/usr/share/keyrings/ubuntu-archive-keyring.gpg"]
    command += ["--include=ca-certificates,python3,python3-pip,python3-setuptools", "bionic", folder]
    command += [ubuntu_archive()]
    run("image", command)
    done.touch()
    return folder


def find_standalone_python(base: str) -> tuple[list[str], str]:
    """The build's arguments for the dashboard's Python, and a word on it.

    uv's own builds lie on GitHub. Where that is not reached, a Python 3.11 is built on Ubuntu 18.04 from Debian's
    source, and uv is told of it: the step of Dockerfile.tx2 stays the same.
    """
    probe = os.environ | {"UV_PYTHON_INSTALL_DIR": str(WORK / "standalone"), "UV_HTTP_TIMEOUT": "60"}
    try:
        run("image", [UV, "python", "install", "--no-bin", "3.11"], probe)
        return [], "uv's standalone build"
    except Failed:
        words = "built from Debian's source, in the place of uv's standalone build, which cannot be fetched here"
    folder = WORK / "python"
    archive = folder / "python.tar.gz"
    if not archive.exists():
        build_python(base, archive)
    machine = platform.machine()
    row: dict[str, object] = {
        "name": "cpython",
        "arch": {"family": machine, "variant": None},
        "os": "linux",
        "libc": "gnu",
    }
    row |= {"major": 3, "minor": 11, "patch": 2, "prerelease": "", "variant": None, "build": None}
    row |= {"url": "file:///stand-in/python.tar.gz", "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
    (folder / "list.json").write_text(json.dumps({f"cpython-3.11.2-linux-{machine}-gnu": row}))
    told = "--build-arg=UV_PYTHON_DOWNLOADS_JSON_URL=/stand-in/list.json"
    return [told, "--volume", f"{folder}:/stand-in:ro"], words


def build_python(base: str, archive: Path) -> None:
    """A Python 3.11 that runs with glibc 2.27, packed as uv's are."""
    source = WORK / "python-source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    archive.parent.mkdir(exist_ok=True)
    lists = source / "lists"
    lists.mkdir()
    (source / "sources.list").write_text(f"deb-src [signed-by={DEBIAN_KEYS}] {debian_archive()} bookworm main\n")
    options = [f"-o=Dir::Etc::sourcelist={source}/sources.list", "-o=Dir::Etc::sourceparts=-"]
    options += [f"-o=Dir::State::lists={lists}", "-o=APT::Sandbox::User=root"]
    try:
        run("python", ["apt-get", *options, "update", "-q"])
        run("python", ["apt-get", *options, "source", "-q", "--download-only", "python3.11"], folder=source)
    except Failed as error:
        raise Skipped(f"neither uv's builds of Python nor Debian's source of it can be reached: {error}") from error
    steps = [
        "set -e",
        "mkdir /src && tar --extract --file /from/python3.11_3.11.2.orig.tar.gz --directory /src --strip-components=1",
        "apt-get -q update",
        "DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install gcc libc6-dev make libssl-dev "
        "zlib1g-dev libffi-dev libsqlite3-dev libbz2-dev liblzma-dev",
        "cd /src && ./configure -q --prefix=/python && make -s -j2 && make -s altinstall",
        "/python/bin/python3.11 -c 'import ssl, sqlite3, ctypes, lzma, bz2, ensurepip'",  # left out where a library is
        "ln -s python3.11 /python/bin/python3 && ln -s python3.11 /python/bin/python",
        f"rm -r /python/lib/python3.11/test && tar --create --gzip --file /to/{archive.name}.part --directory / python",
    ]
    script = "\n".join([f"export PIP_INDEX_URL={index_url()}", *steps])
    container = buildah("python", "from", base).stdout.strip()
    given = ["--volume", f"{source}:/from:ro", "--volume", f"{archive.parent}:/to"]
    buildah("python", "run", "--isolation", "chroot", *given, container, "--", "sh", "-c", script)
    buildah("python", "rm", container)
    archive.with_name(archive.name + ".part").rename(archive)


def buildah_command(*arguments: str) -> list[str]:
    """With a storage of its own, which needs no kernel module."""
    storage = ["--root", str(WORK / "storage"), "--runroot", str(WORK / "storage-run"), "--storage-driver", "vfs"]
    return ["buildah", *storage, *arguments]


def buildah(name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(name, buildah_command(*arguments), check=check, read=arguments[0] != "build")


def run(
    name: str,
    command: Sequence[object],
    environment: dict[str, str] | None = None,
    folder: Path = ROOT,
    check: bool = True,
    read: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run it; what it says is added to .tx2/logs/<name>.log, while it runs where nobody wants to `read` its stdout.

    Raises Failed where it does not end with 0.
    """
    log = LOGS / f"{name}.log"
    with open(log, "a") as file:
        print("$", *command, file=file, flush=True)
        ran = subprocess.run(
            [str(part) for part in command],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE if read else file,
            stderr=file,
            text=True,
        )
        file.write(ran.stdout or "")
    if check and ran.returncode:
        raise Failed(f"{Path(str(command[0])).name} ended with {ran.returncode} ({log}): {last_lines(log)}")
    return ran


def last_lines(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-4:])


def index_url() -> str:
    """Where this machine's pip looks for packages, which an older pip may look for elsewhere."""
    told = setup.uv_settings(run("pip", [sys.executable, "-m", "pip", "config", "list"], read=True).stdout, {})
    ask = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    return told.get("UV_DEFAULT_INDEX") or run("pip", [sys.executable, "-c", ask], read=True).stdout.strip()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


PROOFS: dict[str, Callable[[], str]] = {
    "hadolint": prove_dockerfile,
    "lock": prove_lock,
    "vermin": prove_old_syntax,
    "image": prove_image,
    "lab": prove_lab_in_image,
    "browser": prove_in_the_browser,
    "python3.6": prove_python36,
    "python3.7": prove_python37,
}

if __name__ == "__main__":
    sys.exit(main())
