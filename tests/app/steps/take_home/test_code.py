"""What the page says to do with a file does it."""

import zipfile

import pytest
import torch

from workbench.app.steps.take_home.model import FILE_KINDS


@pytest.mark.parametrize("kind", ["onnx", "weights", pytest.param("executorch", marks=pytest.mark.slow)])
def test_the_three_lines_run(session, kind, tmp_path, monkeypatch):
    session.recover.decompose()
    session.take_home.make(kind)
    made, small = session.take_home.file(kind), session.recover.compressed
    assert made is not None, FILE_KINDS[kind].missing()
    image = session.choose.data.test.images[:1].float()
    names = {"image": image.numpy() if kind == "onnx" else image, "original": small.original.model}
    monkeypatch.chdir(made.path.parent)
    if kind == "weights":
        with zipfile.ZipFile(made.path) as archive:
            archive.extractall(tmp_path)
        monkeypatch.chdir(next(tmp_path.iterdir()))
        monkeypatch.syspath_prepend(next(tmp_path.iterdir()))
    code = FILE_KINDS[kind].code["In Python"].format(file=made.path.name, shape="1, 3, 8, 8")
    assert len(code.splitlines()) == 3
    with torch.inference_mode():
        exec(code, names)  # noqa: S102
        wanted = small.model(image)
    answers = names["answers"] if kind == "weights" else torch.as_tensor(names["answers"][0])
    torch.testing.assert_close(answers, wanted, atol=1e-4, rtol=1e-4)
