"""The digits of scikit-learn, 1,797 scans of 8x8 pixels, and the architecture of the bundled network."""

import numpy as np
import torch
from torch import nn

from workbench.catalog.datasets.images import deal
from workbench.catalog.networks.classics import sequential
from workbench.network.data import Data, Split

CLASSES = tuple("0123456789")
SIZES = {"train": 1000, "validation": 297, "test": 500}
POOL = (0, 2)


def digits() -> Data:
    """Return the digits in a fixed stratified split: 1000 train, 297 validation, 500 test.

    Images are (1, 8, 8), float32 in 0 to 1.
    """
    from sklearn.datasets import load_digits  # takes a quarter of a second

    images, labels = load_digits(return_X_y=True)
    pixels = torch.from_numpy((images / 16.0).astype(np.float32)).reshape(-1, 1, 8, 8)
    targets = torch.from_numpy(labels.astype(np.int64))
    indices = deal(targets, np.cumsum(list(SIZES.values()))[:-1], jitter=False)
    train, validation, test = (Split(pixels[i], targets[i], name) for name, i in zip(SIZES, indices, strict=True))
    return Data(train, validation, test, name="digits", classes=CLASSES)


def digits_vgg() -> nn.Module:
    """Return six convolutions (5x5, then 3x3) with batch norm, and two fully connected layers, untrained.

    Every case of the method occurs: ``features.0`` has one input channel (Tucker-1), ``classifier.0`` follows a flatten
    and is a convolution as large as its 2x2 map (Tucker-2), and ``classifier.2`` is a plain matrix (Tucker-1).
    """
    features: list[nn.Module] = []
    channels = 1
    for width, size in ((32, 5), (64, 3), POOL, (64, 3), (128, 3), POOL, (128, 3), (128, 3)):
        if (width, size) == POOL:
            features.append(nn.MaxPool2d(2))
        else:
            conv = nn.Conv2d(channels, width, size, padding=size // 2)
            features += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
    head = nn.Sequential(nn.Linear(channels * 2 * 2, 256), nn.ReLU(inplace=True), nn.Linear(256, len(CLASSES)))
    return sequential(features=nn.Sequential(*features), flatten=nn.Flatten(1), classifier=head)
