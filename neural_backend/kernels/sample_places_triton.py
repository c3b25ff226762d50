# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the samples of rays lie in a field's cube, in Triton.

The twin lies in `methods.sample_places`, as it needs the field's contraction.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

_SAMPLES = 256


def place(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    owners: Int[Tensor, " slots"],
    t_mids: Float[Tensor, " slots"],
    unbounded: bool,
) -> tuple[Float[Tensor, "slots 3"], Float[Tensor, " slots"]]:
    """Places in the cube, and how much space shrinks there, as `sample_places.place_by_torch`."""
    slots = len(t_mids)
    cube = torch.empty(slots, 3, device=t_mids.device)
    squeeze = torch.empty(slots, device=t_mids.device)
    if slots:
        _place[(triton.cdiv(slots, _SAMPLES),)](
            origins.contiguous(), directions.contiguous(), owners, t_mids, cube, squeeze, slots,
            UNBOUNDED=unbounded, SAMPLES=_SAMPLES,
        )  # fmt: skip
    return cube, squeeze


@triton.jit(do_not_specialize=["slots"])
def _place(
    origins, directions, owners, t_mids, cube, squeeze, slots,
    UNBOUNDED: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    slot = tl.program_id(0).to(tl.int64) * SAMPLES + tl.arange(0, SAMPLES)
    alive = slot < slots
    ray = 3 * tl.load(owners + slot, mask=alive, other=0).to(tl.int64)
    t = tl.load(t_mids + slot, mask=alive, other=0.0)
    x = tl.load(origins + ray) + t * tl.load(directions + ray)
    y = tl.load(origins + ray + 1) + t * tl.load(directions + ray + 1)
    z = tl.load(origins + ray + 2) + t * tl.load(directions + ray + 2)
    scale = tl.full((SAMPLES,), 0.5, tl.float32)
    near = tl.full((SAMPLES,), 1.0, tl.float32)
    if UNBOUNDED:
        # See `geometry.contraction.contract`.
        reach = tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z))
        near = 1 / tl.maximum(reach, 1.0)
        scale = (2 - near) * near / 4
    tl.store(cube + 3 * slot, x * scale + 0.5, mask=alive)
    tl.store(cube + 3 * slot + 1, y * scale + 0.5, mask=alive)
    tl.store(cube + 3 * slot + 2, z * scale + 0.5, mask=alive)
    tl.store(squeeze + slot, near, mask=alive)
