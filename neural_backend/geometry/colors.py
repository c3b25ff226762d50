# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the numbers of a picture and light. Source: IEC 61966-2-1 (sRGB)."""

import numpy as np
from numpy.typing import NDArray


def srgb_to_linear(colors: NDArray[np.floating]) -> NDArray[np.float64]:
    """The light that sRGB values in [0, 1] stand for."""
    colors = np.clip(np.asarray(colors, dtype=np.float64), 0.0, 1.0)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: NDArray[np.floating]) -> NDArray[np.float64]:
    """The sRGB values that stand for light in [0, 1]."""
    light = np.clip(np.asarray(light, dtype=np.float64), 0.0, 1.0)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
