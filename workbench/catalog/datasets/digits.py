"""Load scikit-learn's digits (1,797 images of 8x8 pixels)."""

from pathlib import Path

import numpy as np
import torch

from workbench.network.data import Data, Split
from workbench.network.images.load import shares

CLASSES = tuple("0123456789")
TRAIN_IMAGES, VALIDATION_IMAGES = 1000, 297
DIGITS_FILE = Path(__file__).resolve().parents[1] / "bundled" / "digits.npz"


def digits() -> Data:
    """Return the digits in a fixed stratified split: 1000 train, 297 validation, 500 test.

    Images are (1, 8, 8), float32 in 0 to 1.
    """
    with np.load(DIGITS_FILE) as arrays:
        pixels = torch.from_numpy((arrays["images"] / 16.0).astype(np.float32)).unsqueeze(1)
        targets = torch.from_numpy(arrays["labels"].astype(np.int64))
    indices = shares(targets, TRAIN_IMAGES / len(targets), VALIDATION_IMAGES / len(targets), offset=0.5)
    train, validation, test = (Split(pixels[i], targets[i], name) for name, i in indices.items())
    return Data(train, validation, test, name="digits", classes=CLASSES)
