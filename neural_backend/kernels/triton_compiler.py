# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings Triton up on CUDA, and finds what it lacks there.

On Linux Triton builds a small library in C that speaks with the driver, once. That takes a C
compiler, for which the Python package `ziglang` will do, and Python's headers. Triton for Windows
brings its own of both. What is built, and the kernels' machine code, is kept in the cache folder.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from ..protocol.errors import JobError
from .compilation import cache_folder

# Zig of 0.14 to 0.16 looks for `-l:NAME` nowhere, so the file's path is put in its place. Zig makes
# code for this very processor by default; the cache folder may be shared with others. `-w`: what
# Zig's compiler remarks about Python's headers is of no use to anyone.
_ZIG_SCRIPT = """\
#!/bin/sh
for argument do
  shift
  for other do
    file=${{other#-L}}/${{argument#-l:}}
    case $argument$other in -l:*-L*) [ ! -f "$file" ] || argument=$file ;; esac
  done
  set -- "$@" "$argument"
done
ZIG_GLOBAL_CACHE_DIR={cache}
export ZIG_GLOBAL_CACHE_DIR
exec {python} -I {package} cc -w -mcpu=baseline "$@"
"""

_FAULTS = (
    AssertionError,
    AttributeError,
    ImportError,
    OSError,
    RuntimeError,
    subprocess.SubprocessError,
)
"""What Triton raises where its library cannot be built or does not load."""


def start_triton() -> None:
    """Has Triton load its driver for CUDA, which takes seconds where it is not built yet.

    Raises:
        JobError: where Triton cannot run.
    """
    if importlib.util.find_spec("triton") is None:
        raise JobError(
            "Triton is not installed.",
            "It comes with torch on Linux; on Windows: pip install triton-windows",
        )
    os.environ.setdefault("TRITON_CACHE_DIR", str(cache_folder() / "triton"))
    try:
        if sys.platform != "win32":
            _provide_compiler()
            _check_headers()
        from triton.runtime import driver

        driver.active.get_current_device()
    except _FAULTS as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise JobError(
            f"Triton does not start on this computer ({type(error).__name__}: {reason}).",
            "Install a C compiler and Python's headers (on Ubuntu: sudo apt install gcc "
            "python3-dev); the lines before this one may say more.",
        ) from error


def _provide_compiler() -> None:
    """Sees to it that Triton finds a C compiler: the user's, the system's, or Zig's."""
    if os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang"):
        return
    package = _zig_package()
    if package is None:
        raise JobError(
            "Triton needs a C compiler, and there is none.",
            f"Install one: {shlex.quote(sys.executable)} -m pip install ziglang",
        )
    os.environ["CC"] = str(_write_zig_script(package))


def _zig_package() -> Path | None:
    """The folder of the package `ziglang`, a C compiler that pip installs."""
    found = importlib.util.find_spec("ziglang")
    folders = found.submodule_search_locations if found is not None else None
    return next(
        (Path(name) for name in folders or () if (Path(name, "__main__.py")).is_file()), None
    )


def _write_zig_script(package: Path) -> Path:
    """A program that is called as `cc` is, because Triton starts its compiler by one word."""
    folder = cache_folder() / "zig"
    text = _ZIG_SCRIPT.format(
        cache=shlex.quote(str(folder)),
        python=shlex.quote(sys.executable),
        package=shlex.quote(str(package)),
    )
    script = folder / "cc"
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"cc.{os.getpid()}"
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o755)
    beside.replace(script)
    return script


def _check_headers() -> None:
    scheme = sysconfig.get_default_scheme()
    # As Triton has it: Debian's scheme for what others install names a folder without headers.
    scheme = "posix_prefix" if scheme == "posix_local" else scheme
    folder = sysconfig.get_paths(scheme=scheme)["include"]
    variables = [os.environ.get(name, "") for name in ("CPATH", "C_INCLUDE_PATH")]
    others = [name for names in variables for name in names.split(os.pathsep) if name]
    if any(Path(name, "Python.h").is_file() for name in (folder, *others)):
        return
    raise JobError(
        f"Triton needs Python's headers, and {folder} has no Python.h.",
        "Install your system's (on Ubuntu: sudo apt install python3-dev; on Fedora: sudo dnf "
        "install python3-devel) and use its Python, or use one of conda's or pyenv's, which have "
        "them.",
    )
