# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels of a few hundred bytes that bear the names of what the worker needs."""

import base64
import hashlib
import zipfile
from pathlib import Path

MODULES = {
    "numpy": "numpy", "numba": "numba", "safetensors": "safetensors", "pillow": "PIL",
    "imageio": "imageio", "imageio-ffmpeg": "imageio_ffmpeg", "PyMCubes": "mcubes",
    "OpenEXR": "OpenEXR", "scipy": "scipy", "trimesh": "trimesh", "libigl": "igl",
    "tyro": "tyro", "rich": "rich", "jaxtyping": "jaxtyping", "xatlas": "xatlas",
    "fast-simplification": "fast_simplification", "pycolmap": "pycolmap",
}  # fmt: skip
BOUNDED = {
    "numpy": "2.9", "libigl": "2.9", "xatlas": "0.0.9", "fast-simplification": "0.2.9",
    "pycolmap": "4.9",
}  # fmt: skip
"""Versions below the bounds of those that have an upper one."""
TORCH = """__version__ = "{version}"
class cuda:
    is_available = staticmethod(lambda: False)
"""


def make_wheel(
    folder: Path, name: str, version: str, module: str, text: str = "", ballast: int = 0
) -> Path:
    """A wheel with one module; `ballast` bytes that do not compress make it heavier."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    contents = {
        f"{module}/__init__.py": text.encode() or f'__version__ = "{version}"\n'.encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if ballast:
        contents[f"{module}/ballast.bin"] = hashlib.shake_128(name.encode()).digest(ballast)
    record = "".join(
        f"{file},sha256={_digest(data)},{len(data)}\n" for file, data in contents.items()
    )
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, data in contents.items():
            archive.writestr(file, data)
    return wheel


def make_wheels(folder: Path, torch_version: str = "2.13.0", ballast: int = 0) -> Path:
    """All that an installation asks for."""
    for name, module in MODULES.items():
        make_wheel(folder, name, BOUNDED.get(name, "99.0"), module)
    torch = TORCH.format(version=torch_version)
    make_wheel(folder, "torch", torch_version, "torch", torch, ballast)
    return folder


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
