# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest

from neural_backend.meshing.point_cache import read_point_cache, write_point_cache


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)
    write_point_cache(tmp_path / "new" / "ä.pc2", iter(samples), 7, 4, -3, 2)
    found, first_frame, step = read_point_cache(tmp_path / "new" / "ä.pc2")
    np.testing.assert_array_equal(found, samples)
    assert (first_frame, step) == (-3, 2)


def test_the_layout_is_the_formats(tmp_path: Path) -> None:
    write_point_cache(tmp_path / "a.pc2", [np.array([[1.0, 2.0, 3.0]])], 1, 1, 7.0, 1.0)
    expected = b"POINTCACHE2\0" + b"\1\0\0\0" + b"\1\0\0\0" + np.float32([7, 1]).tobytes()
    expected += b"\1\0\0\0" + np.float32([1, 2, 3]).tobytes()
    assert (tmp_path / "a.pc2").read_bytes() == expected


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.pc2"
    with pytest.raises(ValueError, match="expected 2 samples, got 1"):
        write_point_cache(path, [np.zeros((3, 3))], 3, 2, 1, 1)
    with pytest.raises(ValueError, match="expected 3 points"):
        write_point_cache(path, [np.zeros((2, 3))], 3, 1, 1, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [b"", b"POINTCACHE2\0", b"x" * 100])
def test_what_is_no_point_cache_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pc2").write_bytes(data)
    with pytest.raises(ValueError, match="no point cache"):
        read_point_cache(tmp_path / "a.pc2")


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pc2"
    write_point_cache(path, [np.zeros((3, 3))], 3, 1, 1, 1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="cut off"):
        read_point_cache(path)
