"""How colours look to people of four kinds of vision, and how far apart they are."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb

# Machado, Oliveira and Fernandes, IEEE Transactions on Visualization and Computer Graphics 15
# (2009) 1291, table 1: severity 1.0, for linear RGB.
VISIONS = {
    "all three cones": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(  # of linear sRGB, IEC 61966-2-1; a row's sum is white
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(colour):
    """A colour of matplotlib's as linear RGB."""
    values = np.array(to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def seen(colour, vision):
    """(lightness 0 to 100, a, b) of a colour in CIELAB."""
    x, y, z = TO_XYZ @ np.clip(VISIONS[vision] @ linear(colour), 0, 1) / TO_XYZ.sum(1)
    x, y, z = (np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one, other, vision):
    """CIE 1976: 2.3 is just noticeable, side by side."""
    return float(np.linalg.norm(seen(one, vision) - seen(other, vision)))


def contrast_with_white(colour):
    """WCAG 2.1: 1 to 21."""
    return 1.05 / (float(TO_XYZ[1] @ linear(colour)) + 0.05)
