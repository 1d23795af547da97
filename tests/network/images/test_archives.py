"""ZIP files of photographs, and folders of splits."""

import zipfile

import pytest

import workbench as wb
from tests.helpers.pictures import png
from workbench.network.images import folders


def zip_of(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_photographs_without_labels(tmp_path):
    files = {f"pics/{i}.png": png((i, 0, 0)) for i in range(5)}
    files |= {"__MACOSX/pics/._0.png": b"x", "pics/.DS_Store": b"x", "pics/notes.txt": b"x", "pics/bad.png": b"x"}
    data = wb.load_data("images", root=zip_of(tmp_path / "photos.zip", files), size=8)
    assert (len(data.train), len(data.validation), len(data.test)) == (5, 0, 0)
    assert not data.train.labelled
    assert sorted(data.train.images[:, 0, 0, 0].tolist()) == [0, 1, 2, 3, 4]
    assert [s.split()[0] for s in data.skipped] == ["pics/notes.txt", "pics/bad.png"]
    assert data.name == "photos"


def test_folders_are_classes(tmp_path):
    files = {f"all/{name}/{i}.png": png() for name in ("ant", "bee") for i in range(3)}
    data = wb.load_data("images", root=zip_of(tmp_path / "photos.zip", files), size=8)
    assert data.classes == ("ant", "bee")
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_no_entry_leads_out(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    names = ["../out.png", "/abs.png", "a/../../out.png", "in.png"]
    path = zip_of(tmp_path / "photos.zip", {link: "/etc/passwd", **dict.fromkeys(names, png())})
    data = wb.load_data("images", root=path, size=8)
    assert len(data.train) == 1
    assert set(data.skipped) == {"link.png is a link", *(f"{name} leads out of the folder" for name in names[:3])}
    assert not (tmp_path.parent / "out.png").exists()


def cut(path):
    whole = zip_of(path, {"a.png": png(), "b.png": png()}).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def damaged(path):
    content = bytearray(zip_of(path, {"a.png": png()}).read_bytes())
    content[45] ^= 0xFF
    path.write_bytes(content)


def lying(path):
    """A bomb whose table says that it is small."""
    content = zip_of(path, {"a.png": bytes(100_000)}).read_bytes()
    path.write_bytes(content.replace((100_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))


def encrypted(path):
    content = bytearray(zip_of(path, {"a.png": png()}).read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("bomb.zip", lambda p: zip_of(p, {"a.png": bytes(200_000)}), r"^bomb.zip would unpack to more than \d GiB$"),
        ("lying.zip", lying, "^lying.zip is not a valid ZIP file: "),
        ("many.zip", lambda p: zip_of(p, {f"{i}.png": b"" for i in range(9)}), "^many.zip has 9 files, more than"),
        ("cut.zip", cut, "^cut.zip is not a valid ZIP file: "),
        ("damaged.zip", damaged, "^damaged.zip is not a valid ZIP file: "),
        ("secret.zip", encrypted, "^secret.zip is not a valid ZIP file: .*encrypted"),
        ("empty.zip", lambda p: p.write_bytes(b""), "^empty.zip is not a valid ZIP file: "),
        ("a.tar.gz", lambda p: p.write_bytes(b"\x1f\x8b"), "^a.tar.gz is no folder, ZIP file or picture: unpack it"),
        ("clash.zip", lambda p: zip_of(p, {"a.png": png(), "a.png/b.png": b""}), "^clash.zip is not a valid ZIP"),
        ("nothing.zip", lambda p: zip_of(p, {"a.txt": b""}), "there are no images in .*nothing.zip$"),
        ("zip.png", lambda p: zip_of(p, {"a.png": png()}), "^zip.png is not a valid image: it is none of JPEG"),
    ],
)
def test_hostile_archives_are_one_sentence(tmp_path, monkeypatch, name, make, message):
    monkeypatch.setattr(folders, "MAX_UNPACKED_BYTES", 150_000)
    monkeypatch.setattr(folders, "MAX_ENTRIES", 8)
    make(tmp_path / name)
    with pytest.raises(ValueError, match=message) as caught:
        wb.load_data("images", root=tmp_path / name, size=8)
    assert "\n" not in str(caught.value)
    assert "workbench-" not in str(caught.value)  # no folder of this machine
