# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of COLMAP through its Python package; a program that `colmap_program` starts."""

import sys
from pathlib import Path


def main(step: str, database: str, pictures: str, models: str, mode: str) -> None:
    """Does what the command of the same name does, and tells of its end as that would."""
    import pycolmap

    if step == "extract":
        camera = pycolmap.CameraMode.SINGLE if mode == "one" else pycolmap.CameraMode.AUTO
        pycolmap.extract_features(database, pictures, camera_mode=camera)
    elif step == "exhaustive":
        pycolmap.match_exhaustive(database)
    elif step == "sequential":
        pycolmap.match_sequential(database)
    else:
        Path(models).mkdir(parents=True, exist_ok=True)
        pycolmap.incremental_mapping(database, pictures, models)


if __name__ == "__main__":
    main(*sys.argv[1:])
