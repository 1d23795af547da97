import copy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

import workbench as wb
from tests.helpers.networks import TINY_SETTINGS as SETTINGS
from tests.helpers.networks import few, same, tiny
from tests.helpers.progress import Told
from workbench.recover import checkpoint
from workbench.recover.checkpoint import CheckpointError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hundred(data):
    return few(data, 100)


@pytest.mark.parametrize("stop", [0, 6, 7, 20])
def test_stopped_anywhere_it_goes_on_as_if_it_had_not(hundred, tmp_path, stop):
    whole = wb.finetune(tiny(), hundred, **SETTINGS)
    first = wb.finetune(tiny(), hundred, checkpoint=tmp_path / "c", progress=Told(steps=stop), **SETTINGS)
    assert len(first.history) == stop // 7
    again = wb.finetune(tiny(), hundred, checkpoint=tmp_path / "c", **SETTINGS)
    assert [replace(e, seconds=0) for e in again.history] == [replace(e, seconds=0) for e in whole.history]
    assert same(again.model.state_dict(), whole.model.state_dict())


def test_another_training_is_refused(hundred, tmp_path, monkeypatch):
    wb.finetune(tiny(), hundred, checkpoint=tmp_path / "c", **SETTINGS)
    before = (tmp_path / "c").read_bytes()
    other = replace(hundred, train=wb.Split(hundred.train.images, hundred.train.labels.flip(0), "train"))
    for network, data, change, message in (
        (tiny(), hundred, {"learning_rate": 0.1}, "another training, its learning_rate was 0.05, not 0.1"),
        (tiny(), hundred, {"epochs": 4}, "its epochs was 3, not 4"),
        (wb.load_network("digits_vgg"), hundred, {}, "its network was tiny, not digits_vgg"),
        (tiny(12), hundred, {}, "its weights was "),
        (wb.from_scratch(tiny()), hundred, {}, "its norm of the weights was "),
        (tiny(), other, {}, "its training labels was"),
    ):
        with pytest.raises(CheckpointError, match=message):
            wb.finetune(network, data, checkpoint=tmp_path / "c", **{**SETTINGS, **change})
    now = checkpoint.VERSION
    monkeypatch.setattr(checkpoint, "VERSION", now + 1)
    with pytest.raises(CheckpointError, match=f"its version was {now}, not {now + 1}"):
        wb.finetune(tiny(), hundred, checkpoint=tmp_path / "c", **SETTINGS)
    assert (tmp_path / "c").read_bytes() == before


def test_damaged_files_are_refused_and_change_nothing(hundred, tmp_path):
    wb.finetune(tiny(), hundred, checkpoint=tmp_path / "c", **SETTINGS)
    sound = (tmp_path / "c").read_bytes()
    for content in (b"", b"\x80\x02pickle", sound[:100], sound[:-10], sound.replace(b"progress", b"pr0gress")):
        assert content != sound
        (tmp_path / "c").write_bytes(content)
        network = tiny()
        before = copy.deepcopy(network.model.state_dict())
        with pytest.raises(CheckpointError, match=r"^c is damaged"):
            wb.finetune(network, hundred, checkpoint=tmp_path / "c", **SETTINGS)
        assert same(network.model.state_dict(), before)


KILLED = """
import os, random, signal, sys, time
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
import workbench as wb
from tests.helpers.networks import TINY_SETTINGS as SETTINGS, few, tiny

hundred, folder = few(wb.load_data("digits"), 100), sys.argv[1]
torch.optim.SGD(tiny().model.parameters()).step()  # what is loaded only now is loaded once

def train(checkpoint, out):
    child = os.fork()
    if child:
        return child
    trained = wb.finetune(tiny(), hundred, checkpoint=checkpoint, checkpoint_seconds=0.0, **SETTINGS)
    save_file(trained.model.state_dict(), out)
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
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert not result.returncode, result.stderr
    rounds, kills = map(int, result.stdout.split())
    assert kills >= 20
    expected = load_file(tmp_path / "expected")
    for number in range(1, rounds + 1):
        assert same(load_file(tmp_path / f"found{number}"), expected)
