# SPDX-License-Identifier: GPL-3.0-or-later
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from neural_backend.kernels import triton_compiler
from neural_backend.kernels.triton_compiler import start_triton
from neural_backend.protocol.errors import JobError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Triton has a compiler there")

ZIG = """
import json, os, sys
print(json.dumps([sys.argv[1:], os.environ["ZIG_GLOBAL_CACHE_DIR"]]))
"""


@pytest.fixture(autouse=True)
def bare_computer(monkeypatch, tmp_path):
    """No compiler anywhere, Python's headers, and a cache folder with an awkward name."""
    for name in ("CC", "TRITON_CACHE_DIR", "CPATH", "C_INCLUDE_PATH"):
        monkeypatch.setenv(name, "")  # so that what is set by the test is taken back
        monkeypatch.delenv(name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("NEURAL_FIELDS_CACHE", str(tmp_path / "the cache's folder"))
    monkeypatch.setattr(triton_compiler, "_zig_package", lambda: None)
    monkeypatch.setattr(sysconfig, "get_paths", lambda **_: {"include": str(tmp_path / "include")})


class Driver:
    """Stands in for Triton's, which needs a card; notes what it would have found."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault, self.compiler, self.cache = fault, "", ""

    @property
    def active(self) -> "Driver":
        self.compiler, self.cache = os.environ.get("CC", ""), os.environ["TRITON_CACHE_DIR"]
        if self.fault is not None:
            raise self.fault
        return self

    def get_current_device(self) -> int:
        return 0


@pytest.fixture
def driver(monkeypatch) -> Driver:
    triton, runtime, driver = ModuleType("triton"), ModuleType("triton.runtime"), Driver()
    triton.__spec__ = importlib.machinery.ModuleSpec("triton", None)
    runtime.driver = driver
    monkeypatch.setitem(sys.modules, "triton", triton)
    monkeypatch.setitem(sys.modules, "triton.runtime", runtime)
    return driver


def zig_in(folder: Path) -> Path:
    package = folder / "site packages" / "ziglang"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(ZIG, encoding="utf-8")
    return package


def test_the_systems_compiler_is_left_to_triton(driver, tmp_path):
    (tmp_path / "bin" / "clang").touch(0o755)
    start_triton()
    assert driver.compiler == ""


def test_the_users_compiler_is_left_alone(driver, monkeypatch):
    monkeypatch.setenv("CC", "/opt/cc")
    start_triton()
    assert driver.compiler == "/opt/cc"


def test_what_is_compiled_is_kept_in_the_cache_folder_unless_the_user_says_where(
    driver, monkeypatch, tmp_path
):
    monkeypatch.setenv("CC", "/opt/cc")
    start_triton()
    assert Path(driver.cache) == tmp_path / "the cache's folder" / "triton"
    monkeypatch.setenv("TRITON_CACHE_DIR", "/elsewhere")
    start_triton()
    assert driver.cache == "/elsewhere"


def test_zig_is_the_compiler_where_there_is_no_other(driver, monkeypatch, tmp_path):
    """Its script hands on what Triton asks for, and puts a library's path for its name."""
    package = zig_in(tmp_path)
    monkeypatch.setattr(triton_compiler, "_zig_package", lambda: package)
    python = tmp_path / "a python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    start_triton()
    (tmp_path / "two words").mkdir()
    library = tmp_path / "two words" / "libcuda.so.1"
    library.touch()
    asked = ["a b.c", "-O3", "-o", "x'y.so", "-l:libcuda.so.1", "-l:none.so", "-lm"]
    folders = [f"-L{tmp_path}/missing", f"-L{tmp_path}/two words", '-I"$HOME"']
    done = subprocess.run([driver.compiler, *asked, *folders], capture_output=True, check=True)
    arguments, cache = json.loads(done.stdout)
    named = [str(library) if part == "-l:libcuda.so.1" else part for part in asked]
    assert arguments == ["cc", "-w", "-mcpu=baseline", *named, *folders]
    assert Path(cache) == Path(driver.compiler).parent == tmp_path / "the cache's folder" / "zig"


def test_a_start_leaves_one_script_and_no_torn_one(driver, monkeypatch, tmp_path):
    monkeypatch.setattr(triton_compiler, "_zig_package", lambda: Path("/old"))
    start_triton()
    monkeypatch.delenv("CC")
    monkeypatch.setattr(triton_compiler, "_zig_package", lambda: Path("/new"))
    start_triton()
    (script,) = (tmp_path / "the cache's folder" / "zig").iterdir()
    assert "/new" in script.read_text(encoding="utf-8")


def test_zig_is_found_as_a_package_that_is_a_program(monkeypatch, tmp_path):
    monkeypatch.undo()
    package = zig_in(tmp_path)
    monkeypatch.syspath_prepend(str(package.parent))
    assert triton_compiler._zig_package() == package
    (package / "__main__.py").unlink()
    assert triton_compiler._zig_package() is None


def test_without_a_compiler_the_remedy_is_a_line_to_run(driver):
    with pytest.raises(JobError, match="C compiler") as caught:
        start_triton()
    assert caught.value.remedy.endswith(f"{sys.executable} -m pip install ziglang")


def test_a_python_without_headers_is_told_before_anything_is_compiled(
    driver, monkeypatch, tmp_path
):
    monkeypatch.setenv("CC", "/opt/cc")
    (tmp_path / "include" / "Python.h").rename(tmp_path / "Python.h")
    with pytest.raises(JobError, match=r"no Python\.h") as caught:
        start_triton()
    assert "python3-dev" in caught.value.remedy
    assert driver.compiler == ""
    monkeypatch.setenv("CPATH", f"/none{os.pathsep}{tmp_path}")
    start_triton()
    assert driver.compiler == "/opt/cc"


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("0 active drivers\nand more"),
        subprocess.CalledProcessError(1, ["cc", "driver.c"]),
        AssertionError("libcuda.so cannot found!"),
        ImportError("undefined symbol"),
        FileNotFoundError("/sbin/ldconfig"),
    ],
)
def test_a_driver_that_does_not_load_is_told_in_one_line(driver, monkeypatch, fault):
    monkeypatch.setenv("CC", "/opt/cc")
    driver.fault = fault
    with pytest.raises(JobError, match=type(fault).__name__) as caught:
        start_triton()
    assert "\n" not in str(caught.value)


def test_a_cache_folder_that_cannot_be_made_is_told_too(driver, monkeypatch, tmp_path):
    (tmp_path / "the cache's folder").touch()
    monkeypatch.setattr(triton_compiler, "_zig_package", lambda: Path("/zig"))
    with pytest.raises(JobError, match="does not start"):
        start_triton()


def test_triton_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(JobError, match="Triton is not installed") as caught:
        start_triton()
    assert "triton-windows" in caught.value.remedy
