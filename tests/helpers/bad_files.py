"""Files and folders that somebody may hand to the dashboard and that it cannot use."""

import io
import json
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

import workbench as wb

MARK = Path("never-run")
"""Written into the present folder by code in a file, if it ever runs."""


class Hostile:
    """Unpickled, it makes a file."""

    def __reduce__(self):
        return open, (str(MARK), "w")


def saved(content) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def own_state() -> dict[str, torch.Tensor]:
    return wb.load_network("digits_vgg").model.state_dict()


def changed(change) -> bytes:
    """The bundled network's weights with one of them changed."""
    state = own_state()
    key = next(key for key in state if key.endswith("weight"))
    return save({**state, key: change(state[key]).contiguous()})


def header(content, length=None) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(8)


def bomb() -> bytes:
    """A small archive whose directory claims five gigabytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1000))
        archive.infolist()[0].file_size = 5 * 2**30
    return file.getvalue()


def claims_terabytes() -> bytes:
    return header({"a": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}})


WEIGHTS = {
    "hostile.pth": lambda: saved({"features.0.weight": Hostile()}),
    "pickle.pth": lambda: pickle.dumps({"features.0.weight": Hostile()}),
    "model.pt": lambda: saved(nn.Linear(3, 2)),
    "cut.pth": lambda: saved(own_state())[:-200],
    "cut.safetensors": lambda: save(own_state())[:5000],
    "nothing.safetensors": lambda: header({}),
    "long-header.safetensors": lambda: header({}, length=2**62),
    "no-json.safetensors": lambda: header(b"{'a': 1}"),
    "terabytes.safetensors": claims_terabytes,
    "bomb.pt": bomb,
    "empty-archive.th": lambda: b"PK\x05\x06" + bytes(18),
    "text.pth": lambda: b"hello, this is text",
    "list.pth": lambda: saved([1, 2]),
    "numbered.pth": lambda: saved({1: torch.zeros(3)}),
    "nested.pth": lambda: saved({"a": {"b": torch.zeros(3)}}),
    "optimiser.pth": lambda: saved({**own_state(), "lr": 0.1}),
    "resnet20.safetensors": lambda: save(wb.load_network("resnet20").model.state_dict()),
    "one-short.pth": lambda: saved(dict(list(own_state().items())[1:])),
    "other-shape.safetensors": lambda: changed(lambda weight: weight[:-1]),
    "integers.safetensors": lambda: changed(lambda weight: weight.int()),
    "nan.safetensors": lambda: changed(lambda weight: weight * float("nan")),
}
"""Name -> content that no network of ten digits can be made of."""


def picture(path: Path, content: bytes | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        Image.new("L", (8, 8)).save(path)
    else:
        path.write_bytes(content)


def table(content: str | bytes):
    """A folder with one sound picture and this table."""

    def make(folder: Path) -> None:
        picture(folder / "a.png")
        (folder / "labels.csv").write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def folders(names: tuple[str, ...], content: bytes | None = None):
    """A folder for each class, with one picture in it."""

    def make(folder: Path) -> None:
        for name in names:
            picture(folder / name / "a.png", content)

    return make


def huge_png() -> bytes:
    """A few bytes that claim 3.6 billion pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    size = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


HEAD = "file,class_index\n"
DATA = {
    "table-empty": table(""),
    "table-without-rows": table(HEAD),
    "table-other-columns": table("name,label\na.png,1\n"),
    "table-binary": table(b"\xff\xfe\x00\x01file"),
    "class-negative": table(HEAD + "a.png,-1\n"),
    "class-words": table(HEAD + "a.png,cat\n"),
    "class-fraction": table(HEAD + "a.png,1.5\n"),
    "class-ten": table(HEAD + "a.png,10\n"),
    "class-huge": table(HEAD + f"a.png,{2**70}\n"),
    "class-missing": table(HEAD + "a.png\n"),
    "file-climbs": table(HEAD + "../a.png,1\n"),
    "file-absolute": table(HEAD + "/etc/hostname,1\n"),
    "file-windows": table(HEAD + "C:\\windows\\a.png,1\n"),
    "file-nul": table(HEAD + "a\0.png,1\n"),
    "file-absent": table(HEAD + "b.png,1\n"),
    "file-nameless": table(HEAD + ",1\n"),
    "file-twice": table(HEAD + "a.png,1\na.png,2\n"),
    "no-pictures": folders(("1", "2"), b"no picture"),
    "empty-pictures": folders(("1", "2"), b""),
    "huge-picture": folders(("1",), huge_png()),
    "other-classes": folders(("cats", "dogs")),
    "class-two-folders": folders(("1", "01")),
}
"""Name of a folder -> what makes it, into nothing that the digits' network can be scored on."""
