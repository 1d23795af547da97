"""One image file: of every kind people have, and of every kind that is broken or made to break something."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from workbench.network.images.decoding import decode, quiet

RED = (200, 30, 10)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def test_the_centre_is_taken(tmp_path):
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 2:6] = 255
    assert decode(saved(tmp_path / "a.png", Image.fromarray(pixels)), 4).min() == 255


@pytest.mark.parametrize("suffix", ["jpg", "jfif", "png", "bmp", "gif", "webp", "tif", "ppm", "avif"])
def test_kinds_of_files(tmp_path, suffix):
    found = decode(saved(tmp_path / f"a.{suffix}", Image.new("RGB", (20, 20), RED)), 8)
    assert (found.float().mean(dim=(1, 2)) - torch.tensor(RED)).abs().max() < 4  # JPEG and WebP lose a little


def modes():
    ramp = np.linspace(0, 65535, 64).reshape(8, 8)
    red = Image.new("RGB", (8, 8), RED)
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, *RED])
    eight = torch.from_numpy(np.round(ramp / 257)).to(torch.uint8).expand(3, 8, 8)
    full = torch.tensor(RED, dtype=torch.uint8)[:, None, None].expand(3, 8, 8)
    white, black = (torch.full((3, 8, 8), v, dtype=torch.uint8) for v in (255, 0))
    return {
        "16-bit.png": (Image.fromarray(ramp.round().astype(np.uint16)), eight, {}),
        "32-bit.tif": (Image.fromarray(ramp.round().astype(np.int32)), eight, {}),
        "float.tif": (Image.fromarray((ramp / 65535).astype(np.float32)), eight, {}),
        "signed.tif": (Image.fromarray((ramp - 30000).astype(np.int32)), eight, {}),
        "cmyk.tif": (red.convert("CMYK"), full, {}),
        "cmyk.jpg": (red.convert("CMYK"), full, {"quality": 100}),
        "palette.png": (palette, full, {}),
        "transparent.png": (clear, white, {}),
        "transparent palette.png": (palette, white, {"transparency": b"\xff\x00"}),
        "grey.png": (Image.new("L", (8, 8), 0), black, {}),
        "one bit.png": (Image.new("1", (8, 8), 1), white, {}),
        "grey and alpha.png": (Image.new("LA", (8, 8), (0, 255)), black, {}),
    }


@pytest.mark.parametrize("name", modes())
def test_kinds_of_pixels(tmp_path, name):
    image, expected, options = modes()[name]
    found = decode(saved(tmp_path / name, image, **options), 8)
    assert found.dtype == torch.uint8
    assert (found.int() - expected.int()).abs().max() <= (4 if name == "cmyk.jpg" else 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(tmp_path, orientation):
    """What the camera stored, and its note how to hold it: one corner is bright in the upright picture."""
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8] = 255
    turn = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(turn(upright))), exif=exif)
    assert np.array_equal(decode(path, 16).permute(1, 2, 0).numpy(), upright)


def half(path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, kind)
    path.write_bytes(content.getvalue()[: content.tell() // 2])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("empty.jpg", lambda p: p.write_bytes(b""), "it is empty"),
        ("text.png", lambda p: p.write_text("hello"), "it is none of JPEG, PNG, BMP, GIF, WEBP, TIFF"),
        ("a.heic", lambda p: p.write_bytes(b"\0\0\0\x18ftypheic" + bytes(20)), "AVIF: convert it to PNG"),
        ("half.jpg", lambda p: half(p, "JPEG"), "truncated"),
        ("half.png", lambda p: half(p, "PNG"), ""),
        ("missing.jpg", lambda p: None, "there is no such file"),
        ("bomb.png", lambda p: saved(p, Image.new("1", (9500, 9500))), "it would unpack to 9500 x 9500 pixels"),
        ("zero.png", lambda p: p.write_bytes(b"P6\n0 5\n255\n"), ""),
        ("line.png", lambda p: saved(p, Image.new("L", (1, 60_000))), "60000 pixels, a line"),
        # An EPS file starts Ghostscript when it is read, whatever it is called.
        ("program.jpg", lambda p: p.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "it is none of"),
    ],
)
def test_files_that_are_no_sound_images(tmp_path, name, make, message):
    make(tmp_path / name)
    with quiet(), pytest.raises(ValueError, match="is not a valid image: ") as caught:
        decode(tmp_path / name, 224)
    text = str(caught.value)
    assert text.startswith(f"{name} is not a valid image")
    assert message in text
    assert "\n" not in text
    assert str(tmp_path) not in text
