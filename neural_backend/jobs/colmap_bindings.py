# SPDX-License-Identifier: GPL-3.0-or-later
"""One step of COLMAP through its Python package; a program that `colmap_program` starts."""

import sys
from pathlib import Path

CAMERA_MODEL = "OPENCV"
BLOCK = 10


def main(step: str, database: str, pictures: str, models: str, mode: str) -> None:
    """Does what the command of the same name does, and tells of its end as that would."""
    import pycolmap

    if step == "extract":
        camera = pycolmap.CameraMode.SINGLE if mode == "one" else pycolmap.CameraMode.AUTO
        reading = pycolmap.ImageReaderOptions()
        reading.camera_model = CAMERA_MODEL
        pycolmap.extract_features(database, pictures, camera_mode=camera, reader_options=reading)
    elif step == "exhaustive":
        pairing = pycolmap.ExhaustivePairingOptions()
        pairing.block_size = BLOCK  # it tells of its progress block by block
        pycolmap.match_exhaustive(database, pairing_options=pairing)
    elif step == "sequential":
        pycolmap.match_sequential(database)
    else:
        Path(models).mkdir(parents=True, exist_ok=True)
        pycolmap.incremental_mapping(database, pictures, models)


if __name__ == "__main__":
    main(*sys.argv[1:])
