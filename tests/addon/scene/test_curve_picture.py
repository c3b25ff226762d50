# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from neural_fields.addon.scene.curve_picture import MARGIN_PX, draw_curves

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def drawn_rows(picture: np.ndarray, color: tuple[float, float, float]) -> list[np.ndarray]:
    """The rows, per column, where a color was drawn fully."""
    full = np.abs(picture[..., :3] - color).max(axis=-1) < 1e-6
    return [np.flatnonzero(full[:, column]) for column in range(picture.shape[1])]


def test_a_straight_line_goes_from_corner_to_corner() -> None:
    picture = draw_curves(100, [([(0.0, 2.0), (1.0, 8.0)], RED)])
    assert picture.shape == (100, 100, 4)
    rows = drawn_rows(picture, RED)
    for column in range(6, 94):
        assert abs(rows[column].mean() - column) < 1.0
    assert not len(rows[0])
    assert rows[5].min() >= MARGIN_PX - 1


@pytest.mark.parametrize("points", [[(0.3, 5.0)], [(0.0, 5.0), (1.0, 5.0)]])
def test_what_does_not_change_lies_in_the_middle(points: list[tuple[float, float]]) -> None:
    rows = np.concatenate(drawn_rows(draw_curves(64, [(points, RED)]), RED))
    assert len(rows)
    assert abs(rows.mean() - 31.5) < 1


def test_steep_parts_have_no_gaps_and_nothing_is_drawn_beyond_the_last_point() -> None:
    points = [(0.0, 0.0), (0.25, 0.0), (0.25001, 1.0), (0.5, 1.0)]
    picture = draw_curves(80, [(points, RED)])
    rows = drawn_rows(picture, RED)
    assert max(map(len, rows)) > 60
    assert not any(len(column) for column in rows[45:])


def test_each_curve_has_the_height_to_itself_and_none_is_drawn_of_nothing() -> None:
    both = draw_curves(60, [([(0.0, 0.0), (1.0, 1.0)], RED), ([(0.0, 900.0), (1.0, 100.0)], BLUE)])
    assert drawn_rows(both, BLUE)[8].mean() > 45
    assert drawn_rows(both, RED)[8].mean() < 15
    empty = draw_curves(60, [([], RED)])
    assert empty[..., 3].max() <= 0.25 + 1e-6


def test_light_is_premultiplied_since_a_clear_paper_must_not_glow() -> None:
    picture = draw_curves(60, [([(0.0, 0.0), (1.0, 1.0)], RED)])
    assert (picture[..., :3].max(axis=-1) <= picture[..., 3] + 1e-6).all()
    paper = picture[0, 30]
    np.testing.assert_allclose(paper, [0.05, 0.05, 0.05, 0.1], atol=1e-6)
