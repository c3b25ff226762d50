# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the CPU's fused steps alone, which are given and give what their twins do.

The steps work on tiles: runs of rays whose samples lie one after another, without gaps.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neural_backend.kernels.instant_ngp import NetworkSizes, cut_tiles
from neural_backend.kernels.instant_ngp_numba import (
    Workspace,
    clear_tail,
    color_network,
    density_network,
    drop_hidden,
    make_workspace,
    show_rays,
)
from neural_backend.kernels.instant_ngp_training_numba import backpropagate, composite_ray
from neural_backend.kernels.instant_ngp_types import LossSettings, RayTargets
from neural_backend.kernels.packed_samples import PackedSamples, pack


def tiles(
    work: Workspace, density: Tensor, samples: PackedSamples
) -> Iterator[tuple[int, int, Tensor]]:
    """Fills the tile with one run of rays after another: the first, the end, the samples' slots."""
    places, inside = samples.slots()
    for first, last, _ in cut_tiles(len(places), samples.most).tolist():
        slots = places[first:last][inside[first:last]]
        ends = samples.counts[first:last].cumsum(dim=0)
        work.firsts[0], work.firsts[1 : last - first + 1] = 0, ends.numpy()
        for line, values in (
            (work.density, density),
            (work.t_mids, samples.t_mids),
            (work.lengths, samples.lengths),
        ):
            line[: len(slots)] = values[slots].numpy()
        yield first, last, slots


def keep_visible(
    density: Tensor, samples: PackedSamples, slots: int, opaque_depth: float
) -> PackedSamples:
    """`drop_hidden`, which must take all that is known of a sample along."""
    work = make_workspace(4, 4)
    t_mids, lengths = torch.zeros(2, len(samples.firsts), samples.most)
    counts = torch.zeros_like(samples.counts)
    for first, last, named in tiles(work, density, samples):
        known = work.points, work.features, work.hidden, work.geometry, work.spread[None]
        for matrix in known:
            matrix[:, : len(named)] = named.numpy()
        left = drop_hidden(work, last - first, opaque_depth)
        assert left == work.firsts[last - first]
        names = work.spread[:left].astype(int)
        assert all((matrix[:, :left] == names).all() for matrix in known)
        assert np.array_equal(work.density[:left], density[names].numpy())
        for ray in range(first, last):
            mine = slice(*work.firsts[ray - first : ray - first + 2])
            counts[ray] = mine.stop - mine.start
            t_mids[ray, : counts[ray]] = torch.from_numpy(work.t_mids[mine])
            lengths[ray, : counts[ray]] = torch.from_numpy(work.lengths[mine])
    return pack(t_mids, lengths, counts, samples.looked_at, slots)


def composite(density: Tensor, rgb: Tensor, samples: PackedSamples) -> Tensor:
    """`show_rays`: red, green, blue, accumulation and weighted depth of each ray."""
    work = make_workspace(4, 4)
    seen = np.full((len(samples.firsts), 5), np.nan, np.float32)
    for first, last, slots in tiles(work, density, samples):
        work.rgb[:3, : len(slots)] = rgb[slots].T.numpy()
        show_rays(work, seen, first, last - first)
    return torch.from_numpy(seen)


def learn(
    density: Tensor, rgb: Tensor, samples: PackedSamples, pixels: Tensor, loss: LossSettings
) -> tuple[Tensor, ...]:
    """`composite_ray` of the rays that are looked at.

    Of each ray its loss, squared error and the loss's slopes by the logarithms of its gains; of
    each slot those by the logarithm of its density and by what a sigmoid makes its color from.
    `pixels` are (gains, backgrounds, targets).
    """
    work, rays = make_workspace(4, 4), len(samples.firsts)
    gains, backgrounds, targets = (np.ascontiguousarray(part.numpy()) for part in pixels)
    three, one = np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
    batch = RayTargets(three, three, one, one, one, three, targets, backgrounds, gains)
    per_ray, costs = np.zeros((rays, 4), np.float32), torch.zeros(rays)
    by_log_density, by_logits = torch.zeros_like(density), torch.zeros_like(rgb)
    for first, last, slots in tiles(work, density, samples):
        count = len(slots)
        work.rgb[:3, :count] = rgb[slots].T.numpy()
        for ray in range(first, last):
            if samples.looked_at[ray]:
                _, costs[ray] = composite_ray(batch, loss, work, ray, ray - first, per_ray)
        by_log_density[slots] = torch.from_numpy(work.density[:count])
        by_logits[slots] = torch.from_numpy(work.d_rgb[:3, :count].T)
    told = torch.from_numpy(per_ray)
    return costs, told[:, 3], told[:, :3], by_log_density, by_logits


class NetworkSamples(NamedTuple):
    """What networks are told of samples and of their rays, ray by ray, and what the loss answers.

    `counts` are the samples of each ray, `squeezes` what densities are multiplied by.
    """

    features: Tensor
    squeezes: Tensor
    harmonics: Tensor
    counts: Tensor
    by_density: Tensor
    by_color: Tensor


def evaluate_networks(
    sizes: NetworkSizes, weights: Tensor, samples: NetworkSamples, bfloat16: bool
) -> list[Tensor]:
    """`density_network` and `color_network`, then `backpropagate`.

    Of each sample its density, color and the loss's slopes by its features; last those by all
    weights.
    """
    work = make_workspace(sizes.num_features, sizes.width, bfloat16)
    # What other tiles have left behind must not be seen.
    for matrix in work:
        if matrix.dtype == np.float32:
            matrix[:] = 1e3
    num_rays, count = len(samples.harmonics), len(samples.features)
    networks, by_weights = sizes.cut(weights.numpy()), np.zeros(len(weights), np.float32)
    work.features[:, :count] = samples.features.T.numpy()
    work.spread[:count] = samples.squeezes.numpy()
    work.firsts[0], work.firsts[1 : num_rays + 1] = 0, samples.counts.cumsum(dim=0).numpy()
    work.ray_harmonics[:, :num_rays] = samples.harmonics.T.numpy()
    clear_tail(work.ray_harmonics, num_rays)
    clear_tail(work.features, count)
    density_network(networks, sizes.density_shift, work, count)
    for matrix in (work.hidden, work.geometry):
        clear_tail(matrix, count)
    color_network(networks, work, num_rays, count)
    density, rgb = work.density[:count].copy(), work.rgb[:3, :count].T.copy()
    # Slopes by the logarithm of the density, and by what a sigmoid makes the color from.
    work.density[:count] = samples.by_density.numpy() * density
    by_logits = samples.by_color.numpy() * rgb * (1 - rgb)
    work.d_rgb[:3, :count], work.d_rgb[3] = by_logits.T, 0
    if count:
        backpropagate(networks, sizes.cut(by_weights), work, num_rays, count)
    found = density, rgb, work.d_features[:, :count].T.copy(), by_weights
    return [torch.from_numpy(part) for part in found]
