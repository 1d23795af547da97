"""Decode image files to upright, square RGB images."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif"),
    *(".heic", ".heif"),  # cannot be decoded, and are reported as such
)
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF")
"""Formats that are decoded, whatever a file's name: another decoder of Pillow starts an external program."""

MAX_IMAGE_PIXELS = 80_000_000


def decode(path: Path, size: int, name: str = "") -> Tensor:
    """Return (3, size, size) uint8: turned by its EXIF orientation, shorter side `size`, centre cropped, RGB.

    Transparent pixels become white; 16 bits and floats are scaled to 8 bits; only the first page or frame is read.
    Raises ValueError, with `name` for the file, if it is not a valid image or too large.
    """
    try:
        if not path.stat().st_size:
            raise ValueError("it is empty")
        with Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_IMAGE_PIXELS:
                raise ValueError(f"it would unpack to {opened.width} x {opened.height} pixels")
            opened.load()
            image = rgb(opened)
        width, height = image.size
        if size**2 * max(width, height) / min(width, height) > MAX_IMAGE_PIXELS:
            raise ValueError(f"it has {width} x {height} pixels, a line")
    except Exception as error:  # Pillow raises anything on damaged and hostile files
        raise ValueError(f"{name or path.name} is not a valid image: {_reason(error, path)}") from None
    return fitted(image, (size, size))


def fitted(image: Image.Image, size: tuple[int, int]) -> Tensor:
    """Scale a grey or RGB image to cover (width, height), crop it, and return (channels, height, width) uint8."""
    if image.size != size:
        image = ImageOps.cover(image, size, Image.Resampling.BILINEAR)
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    pixels = np.asarray(image.crop((left, top, left + size[0], top + size[1])))
    return torch.from_numpy(pixels.copy()).reshape(*pixels.shape[:2], -1).permute(2, 0, 1)


class quiet(warnings.catch_warnings):  # noqa: N801 - a context manager: `with quiet():`
    """Suppress Pillow's warnings in all threads: use it around a pool of threads, not in each thread."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.filterwarnings("ignore", module=r"PIL\.")


def rgb(picture: Image.Image) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB, turned by its EXIF orientation, on white."""
    try:
        image = ImageOps.exif_transpose(picture)
    except Exception:  # damaged EXIF data
        image = picture.copy()
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_uint8(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def is_grey(picture: Image.Image) -> bool:
    """Return whether an image has one channel and no palette."""
    return picture.mode in ("1", "L") or picture.mode.startswith(("I", "F"))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Scale grey values of more than 8 bits to uint8: 16 bits by 1 / 257, floats of 0 to 1 by 255, others to fit."""
    values = np.nan_to_num(values.astype(np.float64))
    smallest, largest = float(values.min()), float(values.max())
    integers = not np.any(values % 1)
    if integers and smallest >= 0 and 1 < largest <= 65535:
        values = values / 257 if largest > 255 else values
    elif smallest >= 0 and largest <= 1:
        values = 255 * values
    else:
        values = 255 * (values - smallest) / ((largest - smallest) or 1)
    return np.round(values).astype(np.uint8)


def _reason(error: BaseException, path: Path) -> str:
    """Return the message of an error in one line, without the folders of this machine."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(FORMATS)}: convert it to PNG or JPEG"
    if isinstance(error, Image.DecompressionBombError):
        return "it claims more pixels than are read"
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(str(path), path.name)
