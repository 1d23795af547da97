"""Decode an image file of any origin into upright, square RGB pixels."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")
"""Formats that are read, whatever the file's name: one of Pillow's other decoders starts another program."""

MAX_IMAGE_PIXELS = 80_000_000


def decode(path: Path, size: int, name: str = "") -> Tensor:
    """Return (3, size, size) uint8: turned by its EXIF orientation, shorter side `size`, centre cropped, RGB.

    Transparent pixels become white; 16 bits and floats are scaled to 8 bits; of several pages the first is read.
    ValueError calls the file `name`, if it is no sound image or too large.
    """
    try:
        image = _rgb(path)
    except Exception as error:  # Pillow raises anything on damaged and hostile files
        raise ValueError(f"{name or path.name} is no sound image: {_reason(error, path)}") from None
    width, height = image.size
    if size**2 * max(width, height) / min(width, height) > MAX_IMAGE_PIXELS:
        raise ValueError(f"{name or path.name} is no sound image: it has {width} x {height} pixels, a line")
    image = ImageOps.cover(image, (size, size), Image.Resampling.BILINEAR)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    pixels = np.asarray(image.crop((left, top, left + size, top + size)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore Pillow's warnings, in all threads: use it around a pool of threads, not in each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _rgb(path: Path) -> Image.Image:
    if not path.stat().st_size:
        raise ValueError("it is empty")
    with Image.open(path, formats=FORMATS) as opened:
        if opened.width * opened.height > MAX_IMAGE_PIXELS:
            raise ValueError(f"it would unpack to {opened.width} x {opened.height} pixels")
        opened.load()
        try:
            image = ImageOps.exif_transpose(opened)
        except Exception:  # damaged EXIF data
            image = opened.copy()
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Return greys of more than 8 bits as uint8: 16 bits by their range, floats of 0 to 1 by 255, others stretched."""
    values = np.nan_to_num(values.astype(np.float64))
    least, largest = float(values.min()), float(values.max())
    integers = not np.any(values % 1)
    if integers and least >= 0 and 1 < largest <= 65535:
        values = values / 257 if largest > 255 else values
    elif least >= 0 and largest <= 1:
        values = 255 * values
    else:
        values = 255 * (values - least) / ((largest - least) or 1)
    return np.round(values).astype(np.uint8)


def _reason(error: BaseException, path: Path) -> str:
    """Return Pillow's reason in one line, without the folders of this machine."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(str(path), path.name)
