"""The user's own network and photographs: from the files to a smaller file, and what may be said of it."""

import base64
import io
import zipfile

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import workbench as wb
from tests.helpers import pages as ui
from workbench.catalog.networks.load import BUNDLED
from workbench.catalog.networks.torchvision import torchvision

DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0)), files = new DataTransfer();
  files.items.add(new File([bytes], name));
  const on = document.querySelector('.wb-panel');
  for (const kind of ['dragover', 'drop']) {
    on.dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
  }
}"""


def photograph(seed, size=64):
    """A smooth picture, different for each seed."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    content = io.BytesIO()
    small.resize((size + 16, size), Image.Resampling.BICUBIC).save(content, "JPEG")
    return content.getvalue()


def photographs(path, folders, number, size=64):
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(number):
            archive.writestr(f"{folders[i % len(folders)]}/{i}.jpg", photograph(i, size))
        archive.writestr("__MACOSX/._1.jpg", b"no picture")
    return path


def bring(page, path):
    page.locator("input[type=file]").nth(1).set_input_files(path)
    ui.wait_for_text(page, path.name)
    page.wait_for_function("() => document.querySelectorAll('.wb-strip img').length === 12")


@pytest.mark.slow
def test_weights_an_onnx_file_a_checkpoint_and_photographs(page, voila, tmp_path):
    ui.opened(page, voila)
    bring_weights(page, tmp_path)
    bring_an_onnx_file(page, tmp_path)
    bring_a_checkpoint(page, tmp_path)
    assert page.problems == []


def bring_weights(page, folder):
    """Files that are no weights of the network are refused; those that are give another score."""
    before, file = ui.tile(page, "score"), page.locator("input[type=file]").first
    weights = BUNDLED / "digits_vgg.safetensors"
    for name, content, said in (
        ("half.safetensors", weights.read_bytes()[:100_000], "half.safetensors"),
        ("picture.png", b"no picture", "picture.png is none of the kinds"),
    ):
        (folder / name).write_bytes(content)
        file.set_input_files(folder / name)
        ui.wait_for_alert(page, said)
        assert ui.tile(page, "score") == before
    noise = torch.Generator().manual_seed(0)
    worse = {
        f"module.{k}": v + 0.5 * v.std() * torch.randn(v.shape, generator=noise) if v.ndim > 1 else v
        for k, v in load_file(weights).items()
    }
    torch.save({"state_dict": worse}, folder / "digits.pth")
    file.set_input_files(folder / "digits.pth")
    ui.wait_for_text(page, "digits.pth, sha256")
    ui.until(page, lambda: ui.tile(page, "score") != before, lambda: before)
    box = page.get_by_label("Weights", exact=True).element_handle()
    page.wait_for_function("box => box.value === 'digits.pth'", arg=box)


def bring_an_onnx_file(page, tmp_path):
    """With photographs it leads to a smaller ONNX file, and its agreement is said."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, stride=2), nn.ReLU(), nn.Conv2d(32, 48, 3, stride=2), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 5))
    given = wb.export(wb.Network(model, (3, 48, 48)), tmp_path / "mine.onnx").path
    page.evaluate(DROP, [given.name, base64.b64encode(given.read_bytes()).decode()])
    ui.wait_for_text(page, "mine.onnx, ONNX")
    bring(page, photographs(tmp_path / "holiday.zip", ["."], 40))
    ui.choose(page, "Ranks by", "a budget of work")
    ui.wait_for_tile(page, "work", "x2.0")
    ui.press(page, "Compress")
    ui.wait_for_points(page, "decomposed")
    ui.press(page, "Calibrate")
    ui.wait_for_points(page, "calibrated")
    ui.wait_for_text(page, "on 20 validation images")
    ui.wait_for_text(page, "of the answers changed")
    before, after = onnx.load(given), onnx.load(ui.take_home(page, ".onnx", tmp_path))
    onnx.checker.check_model(after)
    assert [value.name for value in after.graph.input] == [value.name for value in before.graph.input]
    sizes = [sum(np.prod(tensor.dims) for tensor in proto.graph.initializer) for proto in (before, after)]
    assert sizes[1] < sizes[0]


def bring_a_checkpoint(page, tmp_path):
    """Of five classes, and photographs in folders of them."""
    torch.manual_seed(0)
    model = torchvision("models").resnet18(num_classes=5)
    torch.save({"model": model.state_dict(), "epoch": 3}, tmp_path / "mine.pth")
    ui.open_step(page, "Choose")
    page.get_by_role("textbox", name="Find", exact=True).fill("resnet18")
    page.wait_for_function("() => document.body.innerHTML.includes('resnet18, 3x224x224, 11.7 M weights')")
    page.get_by_role("combobox", name="Network", exact=True).select_option(
        "resnet18, 3x224x224, 11.7 M weights, 1.81 G MACs"
    )
    ui.wait_for_text(page, "Random weights")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.pth")
    ui.wait_for_text(page, "mine.pth, sha256")
    bring(
        page, photographs(tmp_path / "pets.zip", ["pets/ant", "pets/bee", "pets/cat", "pets/dog", "pets/elk"], 30, 240)
    )
    ui.wait_for_points(page, "original")
    ui.wait_for_text(page, "on 15 test images")
    ui.choose(page, "Ranks by", "a budget of work")
    ui.wait_for_tile(page, "work", "x2.0")
    ui.press(page, "Compress")
    ui.wait_for_points(page, "decomposed")
    ui.wait_for_text(page, "too few images to tell")
    assert "Little is lost" not in page.inner_text("body")
