# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the numbers of a picture and light."""

import numpy as np
from numpy.typing import NDArray


def srgb_to_linear(colors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Light that an sRGB value in [0, 1] stands for. Source: IEC 61966-2-1."""
    colors = np.clip(np.asarray(colors, dtype=np.float64), 0.0, 1.0)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
