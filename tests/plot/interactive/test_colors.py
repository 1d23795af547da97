"""Colours stand out from light and dark paper, and colour-blind readers can tell them apart."""

import numpy as np
import pytest

from workbench.plot import colors
from workbench.plot.colors import DARK

LIGHT = {color: color for color in DARK if color not in ("white", colors.GRID)}
MARKS = ("BLUE", "ORANGE", "GREEN", "VERMILLION", "PURPLE", "SLATE")
VISION = {  # Machado et al., 2009: what is left of linear RGB
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def linear(color):
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Of WCAG, 1 to 21."""
    low, high = sorted(float(np.dot(XYZ[1], linear(color))) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(values):
    found = XYZ @ np.clip(values, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(found > 0.008856, np.cbrt(found), 7.787 * found + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(("shown", "paper"), [(LIGHT, "#FFFFFF"), (DARK, DARK["white"])])
def test_colours_stand_out_and_can_be_told_apart(shown, paper):
    marks = [shown[getattr(colors, name)] for name in MARKS]
    assert min(contrast(color, paper) for color in (*marks, shown[colors.EDGE])) >= 3
    assert min(contrast(shown[ink], paper) for ink in (colors.INK, colors.SLATE)) >= 4.5
    for matrix in VISION.values():
        tints = [lab(np.array(matrix) @ linear(color)) for color in marks]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(tints) for b in tints[:i]]
        assert min(apart) > 13  # a just noticeable difference is 2.3
