# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes by the operator and by the live level: a real worker, a field that was really learned."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import mesh_updates, session
from neural_fields.addon.scene import meshes
from neural_fields.addon.worker.protocol import messages

from tests.addon.analytic_runs import make_run
from tests.addon.operators.real_runs import (
    add_field,
    real_worker,
    sent,
    train,
)

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    with real_worker():
        yield


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("ball"))


@pytest.fixture
def field(bpy: ModuleType, ball: Path) -> Any:
    return add_field(bpy, ball)


def radii(surface: Any) -> np.ndarray:
    points = np.empty(3 * len(surface.data.vertices), np.float32)
    surface.data.vertices.foreach_get("co", points)
    return np.linalg.norm(points.reshape(-1, 3), axis=-1)


def delete(bpy: ModuleType, item: Any) -> None:
    """As an artist does it."""
    bpy.ops.object.select_all(action="DESELECT")
    item.select_set(True)
    bpy.ops.object.delete()


def until_quiet(uid: int) -> None:
    """Pumps as the window's timer does, until nothing of the live level is to come."""
    deadline = time.monotonic() + 120
    keys = (mesh_updates.coarse_key(uid), mesh_updates.fine_key(uid))
    while any(session.is_busy(key) for key in keys):
        assert time.monotonic() < deadline
        session.pump(0.02)


def test_what_was_learned_of_a_ball_is_a_ball_with_its_color(
    bpy: ModuleType, tmp_path: Path
) -> None:
    field = train(bpy, tmp_path)
    bpy.ops.neural_fields.extract_mesh(resolution=32)
    surface = field.neural_field.mesh_object
    # One pixel of the pictures is a tenth of a unit there, and one color shows no depth within.
    assert np.median(radii(surface)) == pytest.approx(0.7, abs=0.15)
    colors = np.empty(4 * len(surface.data.vertices), np.float32)
    surface.data.color_attributes["Col"].data.foreach_get("color_srgb", colors)
    np.testing.assert_allclose(
        np.median(colors.reshape(-1, 4)[:, :3], axis=0), [1.0, 0.5, 0.08], atol=0.15
    )


def test_a_simplified_and_textured_mesh_shows_its_texture_and_is_renewed_in_place(
    bpy: ModuleType, field: Any
) -> None:
    bpy.ops.neural_fields.extract_mesh(resolution=24, level=50.0, keep_unseen=True)
    surface = field.neural_field.mesh_object
    whole = len(surface.data.polygons)
    surface.name, surface.location.z = "Mine", 2.0
    surface.modifiers.new("Smooth", "SMOOTH")
    options = {"resolution": 24, "level": 50.0, "keep_unseen": True, "keep_faces": 0.3}
    bpy.ops.neural_fields.extract_mesh(texture_size=128, **options)
    assert field.neural_field.mesh_object == surface
    assert (surface.name, surface.location.z, surface.modifiers[0].name) == ("Mine", 2.0, "Smooth")
    assert len(surface.data.polygons) == pytest.approx(0.3 * whole, rel=0.2)
    assert np.median(radii(surface)) == pytest.approx(0.7, abs=0.05)
    uvs = np.empty(2 * len(surface.data.loops), np.float32)
    surface.data.uv_layers["UVMap"].uv.foreach_get("vector", uvs)
    assert uvs.min() >= 0
    assert uvs.max() <= 1
    (material,) = surface.data.materials
    (image,) = [node.image for node in material.node_tree.nodes if node.type == "TEX_IMAGE"]
    assert tuple(image.size) == (128, 128)
    pixels = np.array(image.pixels[:]).reshape(128, 128, 4)
    # Every point has the color that the field has there: half its place plus a half.
    for polygon in list(surface.data.polygons)[::40]:
        corners = [surface.data.vertices[index].co for index in polygon.vertices]
        at = uvs.reshape(-1, 2)[list(polygon.loop_indices)].mean(axis=0)
        column, row = (at * 128).astype(int)
        expected = np.mean(corners, axis=0) * 0.5 + 0.5
        np.testing.assert_allclose(pixels[row, column, :3], expected, atol=0.06)
    bpy.ops.neural_fields.extract_mesh(texture_size=0, **options)
    assert [one.name for one in surface.data.materials] == [meshes.MATERIAL]
    assert not len(surface.data.uv_layers)


def test_materials_of_the_artist_stay_when_a_mesh_is_renewed(bpy: ModuleType, field: Any) -> None:
    options = {"resolution": 16, "level": 50.0, "keep_unseen": True}
    bpy.ops.neural_fields.extract_mesh(**options)
    surface = field.neural_field.mesh_object
    surface.data.materials[0] = own = bpy.data.materials.new("Own")
    bpy.ops.neural_fields.extract_mesh(texture_size=64, **options)
    assert list(surface.data.materials) == [own]


def test_a_mesh_that_was_deleted_is_made_anew_and_seen(bpy: ModuleType, field: Any) -> None:
    options = {"resolution": 16, "level": 50.0, "keep_unseen": True}
    bpy.ops.neural_fields.extract_mesh(**options)
    delete(bpy, field.neural_field.mesh_object)
    bpy.ops.neural_fields.extract_mesh(**options)
    again = field.neural_field.mesh_object
    assert again.parent == field
    assert again.name in bpy.context.scene.objects


def test_the_live_level_shows_a_coarse_mesh_then_the_fine_one_in_the_same_object(
    bpy: ModuleType, field: Any
) -> None:
    settings = field.neural_field.mesh
    settings.resolution, settings.coarse_resolution, settings.keep_unseen = 24, 10, True
    settings.live_level = 50.0
    seen: list[int] = []

    def note(event: object, record: session.JobRecord) -> None:
        surface = field.neural_field.mesh_object
        if isinstance(event, messages.MeshReady) and surface is not None:
            seen.append(surface["neural_field_resolution"])

    session.subscribe(note)
    try:
        mesh_updates.request(field)
        until_quiet(field.session_uid)
    finally:
        session.unsubscribe(note)
    assert seen == [10, 24]
    surface = field.neural_field.mesh_object
    assert surface["neural_field_level"] == 50.0
    assert np.median(radii(surface)) == pytest.approx(0.7, abs=0.05)
    surface.data.materials[0] = own = bpy.data.materials.new("Own")
    settings.live_level = 390.0
    mesh_updates.request(field)
    until_quiet(field.session_uid)
    assert field.neural_field.mesh_object == surface
    assert list(surface.data.materials) == [own]
    assert surface["neural_field_level"] == pytest.approx(390.0)


def test_of_many_changes_of_the_level_only_the_last_is_meshed_finely(
    bpy: ModuleType, field: Any
) -> None:
    settings = field.neural_field.mesh
    settings.resolution, settings.coarse_resolution, settings.keep_unseen = 20, 10, True
    before = len(session.jobs())
    for level in (10.0, 20.0, 30.0, 40.0):
        settings.live_level = level
        mesh_updates.request(field)
        session.pump()
    until_quiet(field.session_uid)
    done = [record for record in session.jobs()[before:] if record.state == "done"]
    fine = [record.job.level for record in done if record.job.resolution == 20]
    assert fine == [40.0]
    assert field.neural_field.mesh_object["neural_field_level"] == 40.0


def test_the_live_level_begins_at_that_of_the_mesh_which_is_there(
    bpy: ModuleType, field: Any
) -> None:
    settings = field.neural_field.mesh
    settings.is_live = True
    assert settings.live_level == 10.0
    settings.is_live = False
    bpy.ops.neural_fields.extract_mesh(resolution=12, level=33.0, surface="density")
    settings.is_live = True
    assert settings.live_level == pytest.approx(33.0)


def test_extracting_again_keeps_to_the_level_that_was_found_live(
    bpy: ModuleType, field: Any
) -> None:
    settings = field.neural_field.mesh
    settings.resolution, settings.keep_unseen = 12, True
    settings.live_level, settings.is_live = 77.0, True
    bpy.ops.neural_fields.extract_mesh()
    assert sent(messages.ExtractMesh).level == 77.0
    assert sent(messages.ExtractMesh).surface == "density"
    bpy.ops.neural_fields.extract_mesh(level=60.0, surface="density")
    assert sent(messages.ExtractMesh).level == 60.0


def test_the_live_level_says_nothing_of_a_field_that_is_gone(bpy: ModuleType, field: Any) -> None:
    mesh_updates.request(field)
    uid = field.session_uid
    bpy.data.objects.remove(field)
    before = len(session.jobs())
    until_quiet(uid)
    assert len(session.jobs()) == before
