import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import workbench as wb
from tests.helpers.pictures import picture
from workbench import launch

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ["digits_vgg", "--data", "digits"]
SETTINGS = ["--epochs", "1", "--threads", "1", "--set", "batch_size=33", "--set", "learning_rate=0.01"]
"""1000 images in batches of 33: the shares of two processes are not equal, and the last batch is of 10."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory, spectra):
    """What one process gives."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "plan.json").write_text(wb.evbmf_plan(spectra).to_json())
    launch.main([*DIGITS, "--plan", str(folder / "plan.json"), "--out", str(folder), *SETTINGS])
    return folder


def test_one_process_writes_what_finetune_gives(alone, network, data, spectra):
    start = wb.decompose(network, wb.evbmf_plan(spectra))
    expected = wb.finetune(start, data, epochs=1, batch_size=33, learning_rate=0.01)
    state = load_file(alone / "weights.safetensors")
    again = wb.rebuild(network, wb.Plan.from_json((alone / "plan.json").read_text()), state)
    assert all(torch.equal(v, again.model.state_dict()[k]) for k, v in expected.model.state_dict().items())
    assert json.loads((alone / "epochs.json").read_text())[0]["loss"] == expected.history[0].loss


@pytest.mark.slow
def test_two_processes_give_the_same_as_one(alone, tmp_path):
    pytest.importorskip("accelerate")
    plan = str(alone / "plan.json")
    accelerate = "-m accelerate.commands.launch --cpu --num_processes 2 --num_machines 1 --main_process_port 0"
    command = [sys.executable, *accelerate.split(), "--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["-m", "workbench.launch", *DIGITS, "--plan", plan, "--out", str(tmp_path)]
    command += ["--checkpoint", str(tmp_path / "checkpoint"), *SETTINGS]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert not result.returncode, result.stderr
    assert result.stdout.count("epoch 1:") == 1
    mine, theirs = (load_file(folder / "weights.safetensors") for folder in (tmp_path, alone))
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        assert torch.allclose(value, theirs[key], rtol=1e-3, atol=1e-4), key
    (one,), (other,) = (json.loads((folder / "epochs.json").read_text()) for folder in (tmp_path, alone))
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["nothing_like_it", "--data", "digits"], "no network is called 'nothing_like_it'"),
        ([*DIGITS, "--plan", "nowhere.json"], "nowhere.json"),
        ([*DIGITS, "--start", "weights.safetensors"], "--start"),
        ([*DIGITS, "--set", "speed=1"], "fine-tuning has no setting speed"),
        ([*DIGITS, "--set", "schedule=zigzag"], "schedule is one of 'step', 'cosine'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(changes, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        launch.main([*changes, "--epochs", "1", "--out", str(tmp_path)])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1


def test_images_are_read_as_the_network_takes_them(monkeypatch, tmp_path):
    for i in range(20):
        picture(tmp_path / "images" / "37"[i % 2] / f"{i}.png")
    seen = {}

    def finetune(network, data, **how):
        seen.update(how, data=data)
        raise ValueError("enough was seen")

    monkeypatch.setattr(launch, "finetune", finetune)
    data = ["--data", "images", "--root", str(tmp_path / "images")]
    with pytest.raises(SystemExit):
        launch.main(["digits_vgg", *data, "--epochs", "1", "--out", str(tmp_path), "--set", "flip=False"])
    assert seen["recipe"].flip is False
    assert tuple(seen["data"].train.images.shape) == (8, 1, 8, 8)
    assert seen["data"].train.labels.unique().tolist() == [3, 7]


def test_several_processes_need_accelerate(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(SystemExit):
        launch.main([*DIGITS, "--epochs", "1", "--out", str(tmp_path)])
    assert "needs Accelerate: pip install -e '.[scale]'" in capsys.readouterr().err
