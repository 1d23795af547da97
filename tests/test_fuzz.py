"""Damaged files: whatever is opened gives a result or a sentence, and never takes long or much memory."""

import resource
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

import workbench as wb
from tests.helpers.networks import small
from tests.helpers.pictures import picture, png, written
from workbench.catalog.networks.checkpoints import read_weights
from workbench.catalog.onnx.load import load_onnx
from workbench.network.images.decoding import decode

EXAMPLES = 60
MAX_SECONDS = 10
"""Of one file, on a busy machine."""
MAX_MEMORY_BYTES = 2**30
"""By which the process may grow over all files of a kind."""


def tensors():
    return {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}


def jpeg(file):
    Image.linear_gradient("L").resize((12, 10)).convert("RGB").save(file, "jpeg")


def zipped(file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"):
            archive.writestr(name, png(size=(12, 10)))
        archive.writestr("labels.csv", "file,class_index\ncat/a.png,0\n")


def plan():
    return wb.evbmf_plan(wb.analyze(small(), cached=False), layers="all").to_json().encode()


def onnx_file():
    pytest.importorskip("onnx")
    with tempfile.TemporaryDirectory() as folder:
        return wb.export(small(), Path(folder) / "small.onnx").path.read_bytes()


def open_images(path):
    return wb.load_data("images", root=path, size=8)


def open_table(path):
    for name in ("a.png", "b.png"):
        picture(path.parent / name)
    return wb.load_data("images", root=path.parent, labels=path.name, size=8)


def open_plan(path):
    return wb.Plan.from_json(path.read_text(encoding="utf-8", errors="replace")).describe()


KINDS = {
    "weights.pth": (lambda: written(torch.save, {"state_dict": tensors()}), read_weights),
    "weights.safetensors": (lambda: save(tensors()), read_weights),
    "network.onnx": (onnx_file, load_onnx),
    "images.zip": (lambda: written(zipped), open_images),
    "picture.png": (png, lambda path: decode(path, 8)),
    "picture.jpg": (lambda: written(jpeg), lambda path: decode(path, 8)),
    "plan.json": (plan, open_plan),
    "labels.csv": (lambda: b"file,class_index\na.png,0\nb.png,1\n", open_table),
}

EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from((0, 1, 16, 10**9)), st.binary(max_size=4)),
    min_size=1,
    max_size=6,
)
"""Where, as a share of the length, how many bytes are taken away there, and what is put in their place."""


def edited(content, edits):
    made = bytearray(content)
    for share, count, new in edits:
        at = int(share * len(made))
        made[at : at + count] = new
    return bytes(made)


def refusal(read, given):
    """The sentence with which something is refused; None if it is read. Other exceptions are errors of ours."""
    try:
        read(given)
    except ValueError as error:
        if type(error) is not ValueError and not type(error).__module__.startswith("workbench"):
            raise
        return str(error)
    return None


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_gives_a_result_or_a_sentence(name, tmp_path):
    make, read = KINDS[name]
    content, path = make(), tmp_path / name
    path.write_bytes(content)
    read(path)  # the sound file opens
    before = peak_bytes()

    @seed(0)
    @settings(
        max_examples=EXAMPLES, deadline=1000 * MAX_SECONDS, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(EDITS)
    def check(edits):
        path.write_bytes(edited(content, edits))
        why = refusal(read, path)
        assert why is None or (why.strip() and "\n" not in why), why

    check()
    assert peak_bytes() - before < MAX_MEMORY_BYTES
