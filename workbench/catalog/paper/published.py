"""Figures that the paper published. They were transcribed second-hand, so their last digits are uncertain."""

from typing import NamedTuple

SOURCE = (
    "published: Kim et al., ICLR 2016, arXiv:1511.06530; top-5 of the ImageNet validation images from a single view, "
    "runtime and energy of one image on a Samsung Galaxy S6 (GPU and memory) and on an Nvidia Titan X; "
    "transcribed second-hand"
)


class Figures(NamedTuple):
    """One line of the published table."""

    top5: float  # per cent of ImageNet's validation images, single view
    weights: float
    macs: float
    s6_ms: float  # per image on a Samsung Galaxy S6, GPU and memory
    s6_mj: float
    titan_x_ms: float


class Published(NamedTuple):
    """A network of the paper, before and after compression and fine-tuning.

    The printed `ratios` original / compressed (of all but top-5) are not always the quotients of the printed numbers:
    GoogLeNet's 6.9 M and 4.7 M weights are printed with x1.28.
    """

    title: str
    original: Figures
    compressed: Figures
    ratios: tuple[float, ...]


PUBLISHED = {
    "alexnet_caffe": Published(
        "AlexNet",
        Figures(80.03, 61e6, 725e6, 117, 245, 0.54),
        Figures(78.33, 11e6, 272e6, 43, 72, 0.30),
        (5.46, 2.67, 2.72, 3.41, 1.81),
    ),
    "vgg_s": Published(
        "VGG-S",
        Figures(84.60, 103e6, 2640e6, 357, 825, 1.86),
        Figures(84.05, 14e6, 549e6, 97, 193, 0.92),
        (7.40, 4.80, 3.68, 4.26, 2.01),
    ),
    "googlenet_bvlc": Published(
        "GoogLeNet",
        Figures(88.90, 6.9e6, 1566e6, 273, 473, 1.83),
        Figures(88.66, 4.7e6, 760e6, 192, 296, 1.48),
        (1.28, 2.06, 1.42, 1.60, 1.23),
    ),
    "vgg16": Published(
        "VGG-16",
        Figures(89.90, 138e6, 15484e6, 1926, 4757, 10.67),
        Figures(89.40, 127e6, 3139e6, 576, 1346, 4.58),
        (1.09, 4.93, 3.34, 3.53, 2.33),
    ),
}
"""The paper's four networks, by their names in the catalog."""
