# SPDX-License-Identifier: GPL-3.0-or-later
import torch

import neural_backend as nf
from neural_backend.geometry.rays import Rays
from tests.analytic_motion import make_moving_run
from tests.tiny_capture import write_tiny_capture

SMALL = ("width=16", "depth=4", "rays=64", "coarse_samples=8", "fine_samples=8")


def test_from_a_capture_to_views_a_mesh_and_figures_in_a_few_lines(tmp_path):
    capture = nf.load_capture(write_tiny_capture(tmp_path / "capture"))
    run = tmp_path / "run"
    events = []
    trained = nf.train(
        capture, run, method="nerf", preset="draft", steps=8, settings=SMALL, on_event=events.append
    )
    views = nf.render_views(run, background="white")
    mesh = nf.extract_mesh(run, resolution=24, level=1e-3, output=tmp_path / "ball.ply")
    figures = nf.evaluate(run, images=False)
    method = nf.load_run(run)

    assert events[-1] == trained
    assert trained.psnr is not None
    assert len(views.files) == figures.num_views == 2
    assert mesh.num_faces > 0
    assert (tmp_path / "ball.ply").stat().st_size > 0
    toward_origin = Rays(torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[-1.0, 0.0, 0.0]]))
    assert method.render_rays(toward_origin).rgb.shape == (1, 3)


def test_motion_comes_as_a_mesh_a_frame_or_as_one_mesh_that_moves(tmp_path):
    run = make_moving_run(tmp_path, num_views=4).path
    sequence = nf.extract_mesh_sequence(run, frames=(11, 15), resolution=12, level=50.0)
    assert sequence.times == (0.0, 1.0)
    baked = nf.bake_motion(run, mesh=sequence.files[0], frames=(11, 15), rest_time=0.0)
    assert baked.num_vertices > 0
    assert baked.residual_max < 1e-4
