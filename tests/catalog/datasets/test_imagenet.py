"""ImageNet's classes, by the names of folders and in the order of the outputs."""

import subprocess
import sys

import pytest

import workbench as wb
from workbench.catalog.networks.torchvision import class_names
from workbench.network.images.labels import class_index


def test_a_real_network_sees_what_the_folders_say(shared, tmp_path):
    """Folders called by our class names, images and network by others: only the right order makes them agree."""
    rows = [row.split(",") for row in (shared / "imagenet_sample" / "labels.csv").read_text().splitlines()[1::25]]
    for file, index, _ in rows:
        folder = tmp_path / class_names()[int(index)].replace(" ", "_")
        folder.mkdir()
        (folder / file).symlink_to((shared / "imagenet_sample" / file).resolve())
    network = wb.load_network("googlenet_bvlc", weights=shared / "googlenet_bvlc.safetensors")
    data = wb.load_data("images", root=tmp_path, classes=network.classes)
    assert sorted(data.test.labels.tolist()) == sorted(int(index) for _, index, _ in rows)
    assert wb.score(network, data.test).top5 > 0.7


def test_the_bundled_network_needs_no_torchvision():
    code = "import workbench as wb, sys; wb.load_network('digits_vgg'); print('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_wordnet_ids_of_all_classes_are_in_the_classes_order():
    ids = ("n00000030", "n00000010", "n00000020")
    assert class_index(ids, ("a", "b", "c")) == {"n00000010": 0, "n00000020": 1, "n00000030": 2}
    with pytest.raises(ValueError, match="the folder n00000030, n00000010 is none of the 3 classes"):
        class_index(ids[:2], ("a", "b", "c"))  # of a part one cannot tell which


def test_names_in_the_order_of_the_outputs():
    names = class_names()
    assert len(names) == len(set(names)) == 1000
    # these indices are in every tutorial
    assert {i: names[i] for i in (0, 1, 207, 281, 999)} == {
        0: "tench",
        1: "goldfish",
        207: "golden retriever",
        281: "tabby",
        999: "toilet tissue",
    }
