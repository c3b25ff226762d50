# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by a test as a program: compiles all kernels of Triton for a card that need not be there.

The kernels' own entry points are called with tensors of the CPU; instead of a launch each kernel
is compiled to machine code for the card, as its first launch would. Prints the kernels' names.
"""

import sys
from collections import Counter

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

from neural_backend.fields.voxel_grid import VoxelGridField, grid_shape
from neural_backend.kernels import (
    adam_triton,
    compositing_triton,
    fused_mlp_triton,
    hash_grid_triton,
    packed_samples_triton,
    pixel_rays_triton,
    ray_budget_triton,
    ray_loss_triton,
    ray_marching_triton,
    ray_targets_triton,
    sample_places_triton,
    sparse_adam_triton,
    voxel_grid_triton,
)
from neural_backend.kernels.fused_mlp import Color, Density, Gathered, Layers
from neural_backend.kernels.hash_grid import hash_grid_layout
from neural_backend.kernels.instant_ngp_types import LossSettings, RayTargets
from neural_backend.kernels.pixel_rays import PixelTables
from neural_backend.kernels.ray_marching import Guide
from neural_backend.kernels.voxel_grid import GridRays, Space

LOSS = LossSettings(0.1, 2.0, 9.2, 0.01, 0.3)

compiled: Counter[str] = Counter()


class AbsentCard:
    """A driver for a card of a given generation, which compiles and cannot launch."""

    def __init__(self, generation: int) -> None:
        self.target = GPUTarget("cuda", generation, 32)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int) -> int:
        return 0


def compile_instead(kernel: JITFunction, *arguments: object, **options: object) -> None:
    options["warmup"] = True
    binary = run(kernel, *arguments, **options)
    assert binary.asm["cubin"], kernel.__name__
    compiled[kernel.__name__] += 1


run = JITFunction.run
JITFunction.run = compile_instead
driver.set_active(AbsentCard(int(sys.argv[1])))

points = torch.rand(64, 3)
for features in (2, 4):
    layout = hash_grid_layout(4, features, 10, 4, 64)
    table = torch.zeros(layout.offsets[-1], features)
    slope = torch.zeros(64, layout.num_features)
    hash_grid_triton.encode(points, table, layout)
    hash_grid_triton.encode(points, table.half(), layout)
    hash_grid_triton.table_gradient(points, slope, layout)
    hash_grid_triton.point_gradient(points, slope, table, layout)

ones = torch.ones(8)
for cone, samples, slices in ((0.0, 32, 1), (1 / 64, 24, 4)):
    cascades = 3 if cone else 1
    cells = slices * cascades * 16**3
    full = torch.zeros(cells // 8, dtype=torch.uint8)
    guide = Guide(torch.zeros(cells), full, 16, 0.01, cone, 1.0, 0.01, 1e-3, samples, slices)
    times = ones if slices > 1 else None
    rays = (points[:8], points[:8], ones, ones, ones)
    asked = torch.ones((), dtype=torch.int32) if times is None else None
    found = ray_marching_triton.march(*rays, guide, 700, 100, asked, times)
    kept = packed_samples_triton.keep_visible(torch.zeros(100), found, 50, 9.2)
    ray_budget_triton.adapt(ones[0], found, kept, 0.95, 2.0, 0.01)

numbers = torch.arange(8)
colors = torch.zeros(8, 4, dtype=torch.uint8)
for alike, times in ((1, None), (0, ones)):
    poses = torch.rand(8, 3, 3), points[:8], times
    tables = PixelTables(colors, numbers, numbers, points[:8], *poses, alike)
    pixel_rays_triton.pixel_rays(numbers, tables)

for unbounded in (False, True):
    sample_places_triton.place(points, points, numbers, ones, unbounded)

ray_targets_triton.place(points, points, points[0], 2.0, points[:2], 0.05)
ray_targets_triton.show(torch.rand(8, 4), torch.rand(8, 5), numbers, points)

for channels in (3, 4):
    kept = packed_samples_triton.empty_samples(8, 32, 100, points.device)
    samples = torch.rand(100), torch.rand(100, channels), kept
    compositing_triton.composite(*samples)
    compositing_triton.gradients(*samples, torch.rand(8, channels), ones, ones, ones, 2.0)
    pixels = (torch.rand(8, 3), RayTargets(*[torch.rand(8, 3)] * 9), ones > 0)
    ray_loss_triton.ray_loss(torch.rand(8, channels), ones, ones, *pixels, LOSS)

shared = Gathered(torch.zeros(8, 16), torch.zeros(300, dtype=torch.int32))
for shapes, more, head in (
    (((64, 32), (16, 64)), None, Density(-1.0, torch.zeros(300))),
    (((64, 16), (64, 16), (4, 64)), shared, Color()),
    (((64, 16), (64, 16), (64, 64), (4, 64)), Gathered(torch.zeros(300, 16)), Color()),
    (((32, 32), (32, 32), (32, 32), (3, 32)), None, Density(0.0, torch.zeros(300))),
):
    layers = Layers(0, shapes, more is not None)
    network = torch.zeros(300, shapes[0][1]), torch.zeros(10_000), layers, more, head
    outputs = fused_mlp_triton.forward(*network)
    fused_mlp_triton.gradients(*network, outputs, outputs)

for followers in ((None, None), (ones.half(), None), (ones.half(), ones)):
    given = (ones, ones, ones, ones, (0.9, 0.99), 1e-15, torch.ones(()))
    adam_triton.take_step(*given, *followers)

for channels in (3, 16):
    marks, rates = torch.ones(8, dtype=torch.uint8), torch.ones(channels)
    sparse_adam_triton.update(torch.zeros(8, 3 * channels), marks, rates, 0.99, ones[0], 1.0)

for degree, shell in ((0, 0.0), (1, 0.5), (2, 0.0)):
    space = Space((0.0, 0.0, 0.0), 1.0, (1.0, 1.0, 1.0), 4.0, 1.0, shell)
    field = VoxelGridField(space, torch.ones(grid_shape(space), dtype=torch.bool), degree, 0.0)
    voxel_grid_triton.render(field.grid, points, points)
    rays = GridRays(points, points, torch.rand(64, 4), points, points[:, 0].clone(), points)
    touched = torch.zeros(len(field.rows), dtype=torch.uint8)
    gradient = torch.zeros_like(field.rows)
    voxel_grid_triton.learn(field.grid, rays, gradient, touched, points.clone(), 0.1 * shell, shell)

sys.stdout.write(" ".join([triton.__version__, *sorted(compiled)]))
