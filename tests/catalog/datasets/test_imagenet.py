"""ImageNet's classes, and the labels of its validation images in each of the forms they come in."""

import pytest
from PIL import Image

import workbench as wb
from workbench.catalog.networks.torchvision import class_names


@pytest.mark.slow
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


FILES = [f"ILSVRC2012_val_0000000{i}.JPEG" for i in (1, 2, 3)]


def test_validation_labels(tmp_path):
    (tmp_path / "val.txt").write_text("".join(f"{f} {label}\n" for f, label in zip(FILES, (2, 0, 1), strict=True)))
    for i, file in enumerate(FILES):
        Image.new("RGB", (10, 10), (i * 10, 0, 0)).save(tmp_path / file)
    Image.new("RGB", (10, 10)).save(tmp_path / "another.png")
    data = wb.load_data("images", root=tmp_path, size=8, classes=("a", "b", "c"))
    assert data.test.labels.tolist() == [2, 0, 1]
    assert data.test.images[:, 0, 0, 0].tolist() == [0, 10, 20]
    assert data.skipped == ("another.png has no label in val.txt",)
    (tmp_path / "val.txt").write_text("a.JPEG one\n")
    with pytest.raises(ValueError, match=r"val\.txt is no table of validation labels"):
        wb.load_data("images", root=tmp_path, size=8, classes=("a", "b", "c"))
