# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the project's own Python, `.venv`, and runs scripts inside it.

Standard library only: it runs on a bare machine before anything is installed. A stamp in `.venv`
remembers what was installed, so that the next start costs nothing.
"""

import ctypes
import hashlib
import json
import os
import queue
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "neural-fields.stamp"
PYTHON = (3, 11)
"""The Blender wheel that the demo and the tests use is made for this Python alone."""
TORCH = "2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# What the Blender wheel loads from the system, and the Debian and Ubuntu package that holds it.
# Without libEGL, EEVEE and Workbench abort the process instead of raising an exception.
SYSTEM_LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgomp.so.1": "libgomp1",
    "libXxf86vm.so.1": "libxxf86vm1",
}


class SetupError(Exception):
    """Says in one or two sentences what is missing and what to do."""


def enter() -> None:
    """Goes on inside `.venv`: makes it where needed and starts the script again with its Python."""
    if Path(sys.prefix).resolve() == VENV.resolve() and is_current():
        return
    try:
        python = ensure()
    except SetupError as error:
        sys.exit(f"\nSet-up stopped: {error}")
    # Either would send the environment's Python to modules of another installation.
    foreign = ("PYTHONHOME", "PYTHONPATH")
    variables = {name: value for name, value in os.environ.items() if name not in foreign}
    sys.stdout.flush()
    os.execve(python, [str(python), *sys.argv], variables)


def ensure() -> Path:
    """The Python of a complete `.venv`.

    Raises:
        SetupError: where something is missing that this script may not or cannot install.
    """
    python = VENV / "bin" / "python"
    if is_current():
        return python
    started = time.monotonic()
    check_disk()
    install_system_packages(missing_libraries(), "Blender needs system libraries")
    make_venv(python)
    install_torch(python)
    say("Installing Blender's Python module and the rest (about 500 MB)…")
    pip(python, "install", "--editable", f"{ROOT}[dev]")
    STAMP.write_text(fingerprint(), encoding="utf-8")
    say(f"The environment is ready in {VENV} ({time.monotonic() - started:.0f} s).")
    return python


def is_current() -> bool:
    """Whether `.venv` holds what this version of the project asks for."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8") == fingerprint()


def fingerprint() -> str:
    """Changes whenever there may be something new to install."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(requirements().encode())
    # A venv and an editable installation know their own folder: copied ones are made again.
    digest.update(f"{ROOT}\n{has_nvidia_driver()}".encode())
    return digest.hexdigest()


def requirements() -> str:
    """What pyproject.toml asks to be installed, without the settings of tools."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    try:
        import tomllib
    except ImportError:  # before Python 3.11, which can only say that it needs another
        return text
    values = tomllib.loads(text)
    return json.dumps([values.get("build-system"), values.get("project")], sort_keys=True)


def has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def check_disk() -> None:
    """A full disk in the middle of an installation leaves a confusing half; better to ask first."""
    needed = 10 if has_nvidia_driver() else 4
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < needed and not VENV.exists():
        raise SetupError(
            f"{ROOT} has {free:.1f} GB of free disk space and this needs about {needed} GB."
        )


def missing_libraries() -> list[str]:
    """The packages whose library cannot be loaded."""
    missing = []
    for library, package in SYSTEM_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def install_system_packages(packages: list[str], reason: str) -> None:
    """Installs with apt where this process may; otherwise says exactly what to run."""
    if not packages:
        return
    names = " ".join(packages)
    by_hand = f"apt-get update && apt-get install --yes --no-install-recommends {names}"
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"{reason}, and there is no apt-get here. Install what Debian calls: {names}"
        )
    if os.geteuid() != 0:
        raise SetupError(f"{reason}. Run this, then start again:\n  sudo sh -c '{by_hand}'")
    say(f"{reason}. Installing with apt: {names}…")
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["install", "--yes", "--no-install-recommends", *packages]
    for arguments in (["update"], install):
        if not run_quietly(["apt-get", *arguments], variables)[0]:
            raise SetupError(f"apt-get {arguments[0]} failed (see above). Run by hand: {by_hand}")


def make_venv(python: Path) -> None:
    """A new `.venv`, unless one with a working Python of the right version stands there."""
    check = f"import sys, pip; sys.exit(sys.version_info[:2] != {PYTHON})"
    if python.exists() and succeeds([str(python), "-c", check]):
        return
    if VENV.exists():
        if not (VENV / "pyvenv.cfg").is_file():
            raise SetupError(f"{VENV} exists and is not a Python environment. Move it away.")
        say("The Python of .venv does not run or is another version: making it anew…")
        shutil.rmtree(VENV)
    version = ".".join(map(str, PYTHON))
    base = sys.executable if sys.version_info[:2] == PYTHON else shutil.which(f"python{version}")
    if base is None:
        raise SetupError(
            f"this needs Python {version} (Blender 4.5 is built for it), found "
            f"{sys.version.split()[0]}. Install python{version} and python{version}-venv."
        )
    if not succeeds([base, "-c", "import ensurepip, venv"]):
        install_system_packages([f"python{version}-venv"], "Python's venv module is missing")
    say(f"Making {VENV}…")
    done, output = run_quietly([base, "-m", "venv", str(VENV)])
    if not done:
        raise SetupError(f"python -m venv failed: {output[-1] if output else 'no message'}")


def install_torch(python: Path) -> None:
    """The CUDA build beside an NVIDIA driver; otherwise the CPU build, a tenth of its size."""
    if succeeds([str(python), "-c", "import torch"]):
        return  # one that the user has chosen, or that an earlier start installed, stays
    if has_nvidia_driver():
        say("Installing torch (CUDA build, about 3 GB)…")
        pip(python, "install", f"torch=={TORCH}")
        return
    say("Installing torch (CPU build, about 200 MB)…")
    # PyPI has no CPU build for Linux, but a mirror or a folder of wheels may: asking is quick.
    found, _ = run_pip(python, "install", f"torch=={TORCH}+cpu", show_errors=False)
    if not found:
        pip(python, "install", f"torch=={TORCH}", "--index-url", TORCH_CPU_INDEX)


def pip(python: Path, *arguments: str) -> None:
    done, output = run_pip(python, *arguments)
    if not done:
        reasons = [line for line in output if line.startswith("ERROR:")] or output[-3:]
        command = shlex.join([str(python), "-m", "pip", *arguments])
        raise SetupError(
            "pip could not install what is needed:\n  "
            + "\n  ".join(reasons)
            + "\nCheck the network and the free disk space, then start again; or run by hand:\n  "
            + command
        )


def run_pip(python: Path, *arguments: str, show_errors: bool = True) -> tuple[bool, list[str]]:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    return run_quietly(command, show_errors=show_errors)


def run_quietly(
    command: list[str], variables: dict[str, str] | None = None, show_errors: bool = True
) -> tuple[bool, list[str]]:
    """Runs a command behind one status line; shows what it said only where it failed."""
    process = subprocess.Popen(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=drain, args=(process, lines), daemon=True).start()
    output: list[str] = []
    started, doing = time.monotonic(), ""
    while True:
        try:
            line = lines.get(timeout=1.0)
        except queue.Empty:
            line = ""
        if line is None:
            break
        if line.strip():
            output.append(line.rstrip())
        if line.lstrip().startswith(("Downloading ", "Installing ", "Building ", "Unpacking ")):
            doing = line.strip()
        show_status(f"  {time.monotonic() - started:4.0f} s  {doing}")
    show_status("")
    succeeded = process.wait() == 0
    if not succeeded and show_errors:
        sys.stderr.write("\n".join(output[-12:]) + "\n")
    return succeeded, output


def drain(process: subprocess.Popen[str], lines: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def show_status(text: str) -> None:
    """One line that the next replaces; nothing where the output goes to a file."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("\r\x1b[2K" + text[:width])
        sys.stdout.flush()


def succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        say(f"Python: {ensure()}")
    except SetupError as error:
        sys.exit(f"\nSet-up stopped: {error}")
