#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a scene, trains a field of it and brings a mesh and novel views back into a .blend file.

With --photos it starts from a real capture instead, with --dynamic from a scene that moves, and
with --shapes it learns a family of meshes, morphs and completes them, and drills a hole.
Everything goes through the add-on's own operators, in an installed copy of the extension.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import environment


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--dynamic",
        action="store_true",
        help="a scene that moves: novel views along another path, and a mesh at each frame",
    )
    kind.add_argument(
        "--shapes",
        action="store_true",
        help="a family of meshes instead of pictures: a morph, half a mesh completed, and a hole",
    )
    kind.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="a capture to use instead: transforms.json, a COLMAP model or poses_bounds.npy",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=environment.ROOT / "demo",
        help="where everything goes (default: demo); an earlier demo there is replaced",
    )
    parser.add_argument(
        "--draft",
        action="store_true",
        help="small pictures and a short training, in a minute or two",
    )
    parser.add_argument(
        "--readme-picture",
        action="store_true",
        help="also write docs/pictures/demo.png, with which the README opens; with --dynamic "
        "demo_dynamic.png, for the guide",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Returns 0 when everything was made, 1 where a stage failed, 130 where the user stopped it."""
    options = parse(arguments)
    environment.enter()
    from demo_run.main import run

    name = "demo_dynamic.png" if options.dynamic else "demo.png"
    return run(
        output=options.output,
        photos=options.photos,
        dynamic=options.dynamic,
        shapes=options.shapes,
        device=options.device,
        draft=options.draft,
        readme_picture=environment.ROOT / "docs" / "pictures" / name
        if options.readme_picture
        else None,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
