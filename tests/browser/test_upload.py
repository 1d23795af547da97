"""From "upload my weights" to a point on the plot; and every way the file can be wrong, with the session alive."""

import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.helpers.pages import (
    alert,
    card,
    opened,
    picture,
    plot,
    press,
    wait_for_alert,
    wait_for_points,
    wait_for_text,
)
from workbench.catalog.networks.load import data_folder

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
]  # in their order: they share a server and its runs


class Hostile:
    """Unpickling it would make a folder."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture
def state_dict():
    return load_file(data_folder() / "digits_vgg.safetensors")


def upload(page, path):
    page.locator("input[type=file]").set_input_files(path)


@pytest.mark.slow
def test_from_uploaded_weights_to_a_point_on_the_plot(page, voila, state_dict, tmp_path):
    noise = torch.Generator().manual_seed(0)
    worse = {
        k: v + 0.5 * v.std() * torch.randn(v.shape, generator=noise) if v.ndim > 1 else v for k, v in state_dict.items()
    }
    torch.save({"state_dict": {f"module.{k}": v for k, v in worse.items()}}, tmp_path / "mine.pth")
    opened(page, voila)
    before = card(page, 2)
    upload(page, tmp_path / "mine.pth")
    wait_for_text(page, "mine.pth, sha256")
    wait_for_points(page, "Accuracy against FLOPs", "original", 1)
    assert card(page, 2) != before
    page.wait_for_function(
        "box => box.value === 'mine.pth'", arg=page.get_by_label("Weights", exact=True).element_handle()
    )
    picture(page, "uploaded")
    press(page, "Compress")
    wait_for_points(page, "Accuracy against FLOPs", "decomposed", 1)
    picture(page, "uploaded-compressed")
    assert page.problems == []
    assert page.elsewhere == []


@pytest.mark.slow
def test_wrong_files_are_a_sentence_each_and_the_session_lives(page, voila, state_dict, tmp_path):
    mark = tmp_path / "it-ran"
    files = {}
    (tmp_path / "hostile.pth").write_bytes(pickle.dumps(Hostile(mark)))
    files["hostile.pth"] = "hostile.pth"
    save_file(state_dict, tmp_path / "whole.safetensors")
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:100_000])
    files["half.safetensors"] = "half.safetensors"
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 200_000_000)
    files["bomb.pt"] = "bomb.pt"
    save_file({"another.weight": torch.zeros(3)}, tmp_path / "another.safetensors")
    files["another.safetensors"] = "another.weight"
    (tmp_path / "empty.pt").write_bytes(b"")
    files["empty.pt"] = "empty.pt is empty"
    (tmp_path / "picture.png").write_bytes(b"no picture")
    files["picture.png"] = "picture.png is none of the kinds"
    opened(page, voila)
    before = card(page, 2)
    for name, said in files.items():
        upload(page, tmp_path / name)
        wait_for_alert(page, said)
        assert "Traceback" not in alert(page)
        assert card(page, 2) == before
        picture(page, f"wrong-{name}")
    assert not mark.exists()
    press(page, "Compress")
    wait_for_points(page, "Accuracy against FLOPs", "decomposed", 1)
    assert plot(page, "Accuracy against FLOPs")["original"] == 1
    assert page.problems == []
