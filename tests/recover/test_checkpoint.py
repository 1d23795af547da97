import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import workbench as wb
from workbench.recover import finetune
from workbench.recover.checkpoint import CheckpointError, save_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def tiny(classes=10):
    """Batch norm, dropout, and few weights."""
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Dropout(0.2))
    return wb.Network(torch.nn.Sequential(*layers, torch.nn.Linear(4 * 36, classes)), (1, 8, 8), name="tiny")


@pytest.fixture
def few(data):
    return replace(data, train=wb.Split(data.train.images[:100], data.train.labels[:100], "train"))


SETTINGS = {"epochs": 3, "learning_rate": 0.05, "batch_size": 16, "shift": 1, "keep_best": True}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(v, two[k]) for k, v in one.items())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stop", [0, 1, 6, 7, 12, 20])
def test_stopped_anywhere_it_goes_on_as_if_nothing_had_happened(few, tmp_path, optimizer, stop):
    settings = {**SETTINGS, "optimizer": optimizer}
    whole = tiny()
    expected = list(wb.finetune(whole, few, **settings))

    steps = []
    first = wb.finetune(
        tiny(),
        few,
        checkpoint=tmp_path / "c",
        progress=steps.append,
        cancelled=lambda: len(steps) == stop,
        **settings,
    )
    assert len(list(first)) == stop // 7
    again = tiny()
    found = list(wb.finetune(again, few, checkpoint=tmp_path / "c", **settings))
    assert [(e.epoch, e.loss, e.validation, e.learning_rate) for e in found] == [
        (e.epoch, e.loss, e.validation, e.learning_rate) for e in expected
    ]
    assert same(again.model.state_dict(), whole.model.state_dict())


def test_every_state_that_is_ever_written_leads_to_the_same_end(few, tmp_path, monkeypatch):
    written = []

    def write(path, *state):
        save_checkpoint(path, *state)
        written.append(path.read_bytes())

    monkeypatch.setattr(finetune, "save_checkpoint", write)
    settings = {**SETTINGS, "checkpoint": tmp_path / "c", "checkpoint_seconds": 0}
    whole = tiny()
    expected = [e.loss for e in wb.finetune(whole, few, **settings)]
    assert len(written) == 3 * 7 + 3
    for content in written[5:9] + written[-3:]:
        (tmp_path / "c").write_bytes(content)
        again = tiny()
        assert [e.loss for e in wb.finetune(again, few, **settings)] == expected
        assert same(again.model.state_dict(), whole.model.state_dict())


def test_what_is_done_is_done(few, tmp_path):
    first, second = tiny(), tiny()
    done = list(wb.finetune(first, few, checkpoint=tmp_path / "c", **SETTINGS))
    steps = []
    assert list(wb.finetune(second, few, checkpoint=tmp_path / "c", progress=steps.append, **SETTINGS)) == done
    assert steps == []
    assert same(first.model.state_dict(), second.model.state_dict())


def test_it_is_written_as_often_as_asked(few, tmp_path):
    seen = set()

    def look(_):
        if (tmp_path / "c").exists():
            seen.add((tmp_path / "c").read_bytes())

    list(wb.finetune(tiny(), few, checkpoint=tmp_path / "c", checkpoint_seconds=0, progress=look, **SETTINGS))
    assert len(seen) > 15
    seen.clear()
    (tmp_path / "c").unlink()
    list(wb.finetune(tiny(), few, checkpoint=tmp_path / "c", checkpoint_seconds=1e9, progress=look, **SETTINGS))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.1}, "another training, its learning_rate was 0.05, not 0.1"),
        ({"epochs": 4}, "its epochs was 3, not 4"),
    ],
)
def test_another_training_is_refused(few, tmp_path, change, message):
    list(wb.finetune(tiny(), few, checkpoint=tmp_path / "c", **SETTINGS))
    before = (tmp_path / "c").read_bytes()
    with pytest.raises(CheckpointError, match=message):
        wb.finetune(tiny(), few, checkpoint=tmp_path / "c", **{**SETTINGS, **change})
    with pytest.raises(CheckpointError, match="its network was tiny, not digits_vgg"):
        wb.finetune(wb.load_network("digits_vgg"), few, checkpoint=tmp_path / "c", **SETTINGS)
    with pytest.raises(CheckpointError, match=r"another network: 4\.bias is \(10,\), not \(12,\)"):
        wb.finetune(tiny(12), few, checkpoint=tmp_path / "c", **SETTINGS)
    other = replace(few, train=wb.Split(few.train.images, few.train.labels.flip(0), "train"))
    with pytest.raises(CheckpointError, match="its training labels was"):
        wb.finetune(tiny(), other, checkpoint=tmp_path / "c", **SETTINGS)
    assert (tmp_path / "c").read_bytes() == before


def test_damaged_files_are_refused_and_change_nothing(few, tmp_path, generator):
    list(wb.finetune(tiny(), few, checkpoint=tmp_path / "c", **SETTINGS))
    sound = (tmp_path / "c").read_bytes()
    head = json.loads(sound[8 : 8 + int.from_bytes(sound[:8], "little")])["__metadata__"]["checkpoint"]
    newer = head.replace('"version": 1', '"version": 2')
    damaged = [b"", b"\x80\x04pickle", sound[:100], sound[:-10], sound.replace(b"checkpoint", b"chickpoint")]
    damaged.append(sound.replace(json.dumps(head).encode(), json.dumps(newer).encode()))
    for content in damaged:
        assert content != sound
        (tmp_path / "c").write_bytes(content)
        network = tiny()
        before = copy.deepcopy(network.model.state_dict())
        with pytest.raises(CheckpointError, match=r"^c is (damaged|a checkpoint of version 2)"):
            wb.finetune(network, few, checkpoint=tmp_path / "c", **SETTINGS)
        assert same(network.model.state_dict(), before)


KILLED = """
import os, random, signal, sys, time
from dataclasses import replace
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
import workbench as wb
from tests.recover.test_checkpoint import SETTINGS, tiny
from workbench.recover.finetune import finetune

data = wb.load_data("digits")
few = replace(data, train=wb.Split(data.train.images[:100], data.train.labels[:100], "train"))
folder = sys.argv[1]
torch.optim.SGD(tiny().model.parameters()).step()  # what is loaded only now is loaded once

def train(checkpoint, out):
    child = os.fork()
    if child:
        return child
    network = tiny()
    list(finetune(network, few, checkpoint=checkpoint, checkpoint_seconds=0.0, **SETTINGS))
    save_file(network.model.state_dict(), out)
    os._exit(0)

started = time.monotonic()
os.waitpid(train(f"{folder}/unharmed", f"{folder}/expected"), 0)
whole = time.monotonic() - started
chance = random.Random(0)
kills = rounds = 0
while kills < 20:
    rounds += 1
    died = 1
    while died:
        assert kills < 80, "it does not get on"
        child = train(f"{folder}/c{rounds}", f"{folder}/found{rounds}")
        time.sleep(chance.uniform(0, whole))
        os.kill(child, signal.SIGKILL)
        died = os.waitpid(child, 0)[1]
        kills += died == signal.SIGKILL
print(rounds, kills)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_killed_twenty_times_it_ends_with_the_same_weights(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert not result.returncode, result.stderr
    rounds, kills = map(int, result.stdout.split())
    assert kills >= 20
    expected = load_file(tmp_path / "expected")
    for number in range(1, rounds + 1):
        assert same(load_file(tmp_path / f"found{number}"), expected)
