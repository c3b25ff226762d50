# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import pytest

from neural_backend.fields import analytic_shapes, csg
from neural_backend.fields.gaussian_mixture import GaussianMixture
from neural_backend.fields.shape_description import (
    SHAPES,
    read_shape,
    shape_from_dict,
    shape_to_dict,
)
from neural_backend.protocol.errors import JobError

BALL = {"type": "sphere", "radius": 1}
TREE = csg.Union(
    (
        csg.Difference((analytic_shapes.RoundedBox(), analytic_shapes.Cylinder(0.5, 3.0)), 0.1),
        csg.Moved(csg.Shell(analytic_shapes.Torus(), 0.1), (1.0, 2.0, 3.0), (0.0, 90.0, 0.0), 2.0),
        csg.Placed(csg.FileShape("bunny.ply"), ((1.0, 0.0, 0.0, 5.0), (0.0, 1.0, 0.0, 0.0),
                                                (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))),
        csg.Offset(csg.Intersection((analytic_shapes.Plane(), analytic_shapes.Cone())), 0.2),
        GaussianMixture(((0.0, 1.0), (2.0, 3.0)), (1.0, 0.5)),
        analytic_shapes.Capsule(),
        analytic_shapes.Box(),
        analytic_shapes.Sphere(),
    ),
    0.25,
)  # fmt: skip


def test_a_tree_of_every_kind_comes_back_from_its_description() -> None:
    text = json.dumps(shape_to_dict(TREE))
    assert shape_from_dict(json.loads(text)) == TREE
    assert {f'"{name}"' for name in SHAPES} <= set(text.replace(",", " ").replace("}", " ").split())


def test_whole_numbers_and_defaults_serve(tmp_path: Path) -> None:
    path = tmp_path / "shape.json"
    path.write_text('{"type": "union", "parts": [{"type": "sphere", "radius": 2}]}')
    assert read_shape(path) == csg.Union((analytic_shapes.Sphere(2.0),))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([BALL], "shape must be a shape"),
        ({"radius": 1}, "unknown type None"),
        ({"type": ["sphere"]}, "unknown type"),
        ({"type": "ball"}, "unknown type 'ball'. Choose one of sphere, box"),
        ({**BALL, "size": 1}, "has no 'size'. It has radius"),
        ({"type": "sphere", "radius": "1"}, r"shape\.radius must be a number, not '1'"),
        ({"type": "sphere", "radius": True}, "must be a number"),
        ({"type": "sphere", "radius": float("nan")}, "finite"),
        ({"type": "sphere", "radius": -1}, "radius of a sphere must be positive, got -1"),
        ({"type": "sphere", "dimensions": 2.5}, "whole number"),
        ({"type": "box", "half_size": 1}, "must be a list"),
        ({"type": "offset", "amount": 1}, "lacks 'part'"),
        ({"type": "file", "path": 3}, "must be a text"),
        ({"type": "union", "parts": [BALL, {"type": "box", "half_size": [1, "a", 1]}]},
         r"shape\.parts\[1\]\.half_size\[1\] must be a number"),
        ({"type": "placed", "part": BALL, "matrix": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]},
         "stretched"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_place(values: object, message: str) -> None:
    with pytest.raises(JobError, match=message):
        shape_from_dict(values)


def test_endless_nesting_is_refused() -> None:
    values: dict = BALL
    for _ in range(200):
        values = {"type": "offset", "amount": 0.1, "part": values}
    with pytest.raises(JobError, match="nested"):
        shape_from_dict(values)


def test_files_without_a_description_are_explained(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="no file"):
        read_shape(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(JobError, match=r"bad\.json is no JSON"):
        read_shape(tmp_path / "bad.json")


def test_a_function_has_no_description() -> None:
    shape = csg.FunctionShape(lambda points: points[:, 0], analytic_shapes.Sphere().bounds())
    with pytest.raises(ValueError, match="no description"):
        shape_to_dict(csg.Union((shape,)))
