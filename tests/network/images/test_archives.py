"""ZIP files of photographs, and folders of splits."""

import zipfile
from io import BytesIO

import pytest
from PIL import Image

import workbench as wb
from workbench.network.images import archives


def picture(color=(9, 9, 9)):
    content = BytesIO()
    Image.new("RGB", (12, 10), color).save(content, "PNG")
    return content.getvalue()


def packed(folder, files):
    path = folder / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_photographs_without_labels(tmp_path):
    files = {f"pics/{i}.png": picture((i, 0, 0)) for i in range(5)}
    files |= {"__MACOSX/pics/._0.png": b"x", "pics/.DS_Store": b"x", "pics/notes.txt": b"x", "pics/bad.png": b"x"}
    data = wb.load_data("images", root=packed(tmp_path, files), size=8)
    assert (len(data.train), len(data.validation), len(data.test)) == (5, 0, 0)
    assert not data.train.labelled
    assert sorted(data.train.images[:, 0, 0, 0].tolist()) == [0, 1, 2, 3, 4]
    assert [s.split()[0] for s in data.skipped] == ["pics/notes.txt", "pics/bad.png"]
    assert data.name == "photos"


@pytest.mark.parametrize("inside", ["", "all/"])
def test_folders_are_classes(tmp_path, inside):
    files = {f"{inside}{name}/{i}.png": picture() for name in ("ant", "bee") for i in range(3)}
    data = wb.load_data("images", root=packed(tmp_path, files), size=8)
    assert data.classes == ("ant", "bee")
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_folders_of_splits(tmp_path):
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(count):
                (tmp_path / split / name / f"{i}.png").write_bytes(picture())
    data = wb.load_data("images", root=tmp_path, size=8)
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 4, 2)
    assert data.classes == ("ant", "bee")
    assert data.validation.labels.tolist() == [0, 0, 1, 1]


def test_hostile_archives_are_sentences(tmp_path, monkeypatch):
    out = packed(tmp_path, {"../out.png": picture(), "in.png": picture()})
    data = wb.load_data("images", root=out, size=8)
    assert len(data.train) == 1
    assert data.skipped == ("../out.png leads out of the folder",)
    assert not (tmp_path.parent / "out.png").exists()
    (tmp_path / "cut.zip").write_bytes(out.read_bytes()[:60])
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1000)
    large = tmp_path / "large.zip"
    with zipfile.ZipFile(large, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(10_000))
    for name, message in (("cut.zip", "no sound ZIP file"), ("large.zip", "would unpack to more than")):
        with pytest.raises(ValueError, match=message):
            wb.load_data("images", root=tmp_path / name, size=8)
