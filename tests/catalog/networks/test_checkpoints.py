"""Every way a file of weights can be wrong: one sentence each, and no code of the file's runs."""

import json
import os
import pickle
import re
import zipfile
from argparse import Namespace
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.helpers.networks import same
from workbench.catalog.networks import checkpoints as weights
from workbench.catalog.networks import load as networks
from workbench.catalog.networks.checkpoints import WeightsError, load_weights, read_weights
from workbench.catalog.networks.entries import outline

OPTIMIZER = torch.optim.SGD([nn.Parameter(torch.zeros(2))], 0.1).state_dict()
STATE = {"0.weight": torch.arange(6.0).reshape(2, 3), "0.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"model": s, "epoch": 3, "optimizer": OPTIMIZER, "args": Namespace(lr=0.1, name="run")},
        lambda s: {"ema": s, "args": None},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {"state_dict": {"net": s}, "optimizer": {"lr": 0.1}},
        lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
        lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
        lambda s: {k: nn.Parameter(v) for k, v in s.items()},
        lambda s: OrderedDict(s),
    ],
)
def test_state_dicts_as_people_save_them(tmp_path, wrap):
    for name, save in (("a.pth", torch.save), ("a.SAFETENSORS", save_file)):
        state = wrap(STATE)
        if save is torch.save or all(type(value) is torch.Tensor for value in state.values()):
            save(state, tmp_path / name)
            assert same(read_weights(tmp_path / name), STATE)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_hostile_pickle_does_not_run(tmp_path):
    mark, path = tmp_path / "exploded", tmp_path / "evil.pth"
    for save in (torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))):
        save({"0.weight": Bomb(str(mark))}, path)
        with pytest.raises(WeightsError, match=r"evil.pth (holds more than tensors|is damaged)"):
            read_weights(path)
        assert not mark.exists()


def truncated(path):
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-200])


def safetensors(header, length=None):
    content = json.dumps(header).encode()
    return (len(content) if length is None else length).to_bytes(8, "little") + content


BOMB = safetensors({"a": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}}) + bytes(8)
"""Claims 4 TB."""


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("folder.pth", lambda p: p.mkdir(), "is a folder; name the file"),
        ("pipe.pth", os.mkfifo, "is no ordinary file"),
        ("zip.pth", lambda p: zipfile.ZipFile(p, "w").close(), "damaged or no file of weights"),
        ("huge.safetensors", lambda p: p.write_bytes(safetensors({}, length=2**63)), "not a valid safetensors file"),
        ("bomb.safetensors", lambda p: p.write_bytes(BOMB), "not a valid safetensors file"),
        ("nothing.pth", lambda p: torch.save({}, p), "holds no state_dict"),
        ("tensor.pth", lambda p: torch.save(torch.zeros(3), p), "holds no state_dict"),
        ("keys.pth", lambda p: torch.save({1: torch.zeros(3)}, p), "something else than a tensor under 1"),
        ("deep.pth", lambda p: torch.save({"a": {"b": torch.zeros(3)}}, p), "something else than a tensor under 'a'"),
        ("sparse.pth", lambda p: torch.save({"a": torch.eye(3).to_sparse()}, p), "holds no dense numbers under 'a'"),
        ("meta.pth", lambda p: torch.save({"a": torch.zeros(3, device="meta")}, p), "no dense numbers under 'a'"),
        ("none.pth", lambda p: None, "there is no file"),
        ("empty.pth", lambda p: p.write_bytes(b""), "damaged or no file of weights"),
        ("cut.pth", truncated, "damaged or no file of weights"),
        ("weights.h5", lambda p: p.write_bytes(b"x"), "neither .safetensors nor one of .pth, .pt, .th"),
    ],
)
def test_files_that_are_wrong(tmp_path, name, make, message):
    path = tmp_path / name
    make(path)
    with pytest.raises(WeightsError, match=message) as caught:
        read_weights(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "MAX_WEIGHT_BYTES", 1_000_000)
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(3_000_000))
    assert path.stat().st_size < 10_000
    with pytest.raises(WeightsError, match=r"bomb.pth would unpack to"):
        read_weights(path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"0.weight": STATE["0.weight"]}, r"mine does not fit this network: it lacks 0\.bias;"),
        ({**STATE, "more": torch.zeros(1)}, "has the unknown more;"),
        ({**STATE, "0.weight": torch.zeros(3, 3)}, r"has 0.weight in the shape \(3, 3\), not \(2, 3\);"),
        ({**STATE, "0.bias": torch.tensor([0.0, float("nan")])}, "mine cannot be used: 0.bias has weights"),
        ({**STATE, "0.bias": torch.tensor([0.0, float("inf")])}, "mine cannot be used: 0.bias has weights"),
        ({**STATE, "0.bias": torch.zeros(2, dtype=torch.int8)}, r"0.bias is torch.int8, not torch.float32$"),
        ({f"module.{k}" if "w" in k else k: v for k, v in STATE.items()}, "lacks 0.weight, has the unknown module"),
        ({f"layer{i}": torch.zeros(1) for i in range(5)}, r"lacks 0.bias, 0.weight, has the unknown layer0.* and 2 mo"),
    ],
)
def test_mismatches_are_named_key_by_key(state, message):
    model = nn.Sequential(nn.Linear(3, 2))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(WeightsError, match=message):
        load_weights(model, state, "mine")
    assert same(model.state_dict(), before)


def test_batch_norms_of_old_files_have_no_counter():
    model, other = (nn.Sequential(nn.BatchNorm2d(3)) for _ in range(2))
    state = {k: v + 1.0 for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    load_weights(other, state, "old.pth")
    assert torch.equal(other[0].weight, state["0.weight"])
    with pytest.raises(WeightsError, match=r"lacks 0.running_var"):
        load_weights(other, {k: v for k, v in state.items() if k != "0.running_var"}, "old.pth")


def test_densenets_names_of_an_old_pytorch():
    """Torchvision's own files say norm.1 where its networks say norm1."""
    own = outline("densenet121").model.state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", k): v for k, v in own.items()}
    assert len(old.keys() - own.keys()) > 300
    assert networks._rename_keys("densenet121", old).keys() == own.keys()
    assert networks._rename_keys("densenet121", own).keys() == own.keys()
    assert networks._rename_keys("resnet18", old).keys() == old.keys()
