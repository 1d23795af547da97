"""Load scikit-learn's digits (1,797 images of 8x8 pixels); architecture of the network that is bundled for them."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from workbench.network.data import Data, Split
from workbench.network.images.load import shares

CLASSES = tuple("0123456789")
TRAIN_IMAGES, VALIDATION_IMAGES = 1000, 297
DIGITS_FILE = Path(__file__).resolve().parents[1] / "bundled" / "digits.npz"
POOL = (0, 2)
"""Entry for a 2x2 max-pooling in the list of (output channels, kernel size) of the convolutions."""


def digits() -> Data:
    """Return the digits in a fixed stratified split: 1000 train, 297 validation, 500 test.

    Images are (1, 8, 8), float32 in 0 to 1.
    """
    with np.load(DIGITS_FILE) as arrays:
        pixels = torch.from_numpy((arrays["images"] / 16.0).astype(np.float32)).unsqueeze(1)
        targets = torch.from_numpy(arrays["labels"].astype(np.int64))
    drawn = shares(targets, TRAIN_IMAGES / len(targets), VALIDATION_IMAGES / len(targets), offset=0.5)
    train, validation, test = (Split(pixels[i], targets[i], name) for name, i in drawn.items())
    return Data(train, validation, test, name="digits", classes=CLASSES)


def digits_vgg() -> nn.Module:
    """Return six convolutions (5x5, then 3x3) with batch norm, and two fully connected layers, untrained.

    Every case of the decomposition occurs: ``features.0`` has one input channel (Tucker-1), the other convolutions are
    Tucker-2, ``classifier.0`` follows a flatten and is a convolution as large as its 2x2 map (Tucker-2), and
    ``classifier.2`` follows no map (Tucker-1).
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
    model = nn.Sequential()
    model.add_module("features", nn.Sequential(*features))
    model.add_module("flatten", nn.Flatten(1))
    head = nn.Sequential(nn.Linear(channels * 2 * 2, 256), nn.ReLU(inplace=True), nn.Linear(256, len(CLASSES)))
    model.add_module("classifier", head)
    return model
