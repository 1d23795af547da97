"""From "upload my weights" to a point on the plot; a wrong file before it is a sentence, and the session lives."""

import os
import pickle

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers import pages as ui
from workbench.catalog.networks.load import data_folder


class Hostile:
    """Unpickling it would make a folder."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def upload(page, path):
    page.locator("input[type=file]").set_input_files(path)


@pytest.mark.slow
def test_from_uploaded_weights_to_a_point_on_the_plot(page, voila, tmp_path):
    ui.opened(page, voila)
    before = ui.card(page, 2)
    mark = tmp_path / "it-ran"
    for name, content, said in (
        ("hostile.pth", pickle.dumps(Hostile(mark)), "hostile.pth"),
        ("half.safetensors", (data_folder() / "digits_vgg.safetensors").read_bytes()[:100_000], "half.safetensors"),
        ("picture.png", b"no picture", "picture.png is none of the kinds"),
    ):
        (tmp_path / name).write_bytes(content)
        upload(page, tmp_path / name)
        ui.wait_for_alert(page, said)
        assert "Traceback" not in ui.alert(page)
        assert ui.card(page, 2) == before
    assert not mark.exists()

    noise = torch.Generator().manual_seed(0)
    worse = {
        f"module.{k}": v + 0.5 * v.std() * torch.randn(v.shape, generator=noise) if v.ndim > 1 else v
        for k, v in load_file(data_folder() / "digits_vgg.safetensors").items()
    }
    torch.save({"state_dict": worse}, tmp_path / "mine.pth")
    upload(page, tmp_path / "mine.pth")
    ui.wait_for_text(page, "mine.pth, sha256")
    ui.wait_for_points(page, "original")
    assert ui.card(page, 2) != before
    weights = page.get_by_label("Weights", exact=True).element_handle()
    page.wait_for_function("box => box.value === 'mine.pth'", arg=weights)
    ui.press(page, "Compress")
    ui.wait_for_points(page, "decomposed")
    assert page.problems == []
