"""One image file: of every kind people have, and of every kind that is broken or made to break something."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from workbench.network.images import decoding
from workbench.network.images.decoding import decode, quiet

RED = (200, 30, 10)


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (16, 16), (500, 20), (17, 300)])
def test_every_shape_becomes_a_square(tmp_path, size):
    assert decode(saved(tmp_path / "a.png", Image.new("RGB", size)), 16).shape == (3, 16, 16)


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
    assert (found.int() - expected.int()).abs().max() <= 1


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


def test_of_several_frames_the_first_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, (0, 0, 0))]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (decode(path, 8)[:, 0, 0] - torch.tensor(RED)).abs().max() <= 4


def test_cmyk_of_cameras_and_printers(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (16, 16), RED).convert("CMYK"), quality=100)
    assert (decode(path, 8).int() - torch.tensor(RED)[:, None, None]).abs().max() <= 4


def test_heic_is_to_be_converted(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    with pytest.raises(ValueError, match=r"a.heic is no sound image: it is none of JPEG, .*: convert it to PNG"):
        decode(tmp_path / "a.heic", 8)


def test_a_damaged_note_does_not_lose_the_picture(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (16, 16), RED), exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(9))
    with quiet():
        assert decode(path, 8).shape == (3, 8, 8)


def png(width, height, data=b""):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def half(path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, kind)
    path.write_bytes(content.getvalue()[: content.tell() // 2])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("empty.jpg", lambda p: p.write_bytes(b""), "it is empty"),
        (
            "text.png",
            lambda p: p.write_text("hello"),
            "it is none of JPEG, PNG, BMP, GIF, WEBP, TIFF",
        ),
        ("half.jpg", lambda p: half(p, "JPEG"), "truncated"),
        ("half.png", lambda p: half(p, "PNG"), ""),
        ("missing.jpg", lambda p: None, "there is no such file"),
        ("bomb.png", lambda p: p.write_bytes(png(9500, 9500)), "it would unpack to 9500 x 9500 pixels"),
        ("zero.png", lambda p: p.write_bytes(png(0, 5)), ""),
        ("line.png", lambda p: saved(p, Image.new("L", (1, 60_000))), "60000 pixels, a line"),
        # An EPS file starts Ghostscript when it is read, whatever it is called.
        ("program.jpg", lambda p: p.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "it is none of"),
    ],
)
def test_files_that_are_no_sound_images(tmp_path, name, make, message):
    make(tmp_path / name)
    with quiet(), pytest.raises(ValueError, match="is no sound image: ") as caught:
        decode(tmp_path / name, 224)
    text = str(caught.value)
    assert text.startswith(f"{name} is no sound image")
    assert message in text
    assert "\n" not in text
    assert str(tmp_path) not in text


def test_an_image_at_the_limit_is_read(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.new("RGB", (20, 20)))
    monkeypatch.setattr(decoding, "MAX_IMAGE_PIXELS", 400)
    assert decode(path, 16).shape == (3, 16, 16)
    monkeypatch.setattr(decoding, "MAX_IMAGE_PIXELS", 399)
    with pytest.raises(ValueError, match="20 x 20 pixels"):
        decode(path, 16)


def test_random_bytes_never_crash(tmp_path):
    """Sound files with bytes changed: an image, or a sentence."""
    rng = np.random.default_rng(0)
    path = tmp_path / "a.bin"
    outcomes = set()
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM"):
        content = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(content, kind)
        for _ in range(20):
            broken = bytearray(content.getvalue())
            for at in rng.integers(0, min(len(broken), 300), 4):
                broken[at] = rng.integers(0, 256)
            path.write_bytes(broken)
            try:
                with quiet():
                    outcomes.add(tuple(decode(path, 16).shape))
            except ValueError as error:
                outcomes.add("sentence" if str(error).startswith("a.bin is no sound image") else str(error))
    assert outcomes == {(3, 16, 16), "sentence"}
