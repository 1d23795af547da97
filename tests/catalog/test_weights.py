"""Every way a file of weights can be wrong: one sentence each, and no code of the file's runs."""

import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from workbench.catalog import weights
from workbench.catalog.weights import WeightsError, load_weights, read_weights

STATE = {"0.weight": torch.arange(6.0).reshape(2, 3), "0.bias": torch.zeros(2)}


def same(state):
    return state.keys() == STATE.keys() and all(torch.equal(state[k], STATE[k]) for k in STATE)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".th"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
    ],
)
def test_state_dicts_as_people_save_them(tmp_path, suffix, wrap):
    path = tmp_path / f"weights{suffix}"
    torch.save(wrap(STATE), path)
    assert same(read_weights(path))


def test_safetensors(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert same(read_weights(tmp_path / "a.safetensors"))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_hostile_pickle_does_not_run(tmp_path, how):
    mark, path = tmp_path / "exploded", tmp_path / "evil.pth"
    if how == "torch":
        torch.save({"0.weight": Bomb(str(mark))}, path)
    else:
        path.write_bytes(pickle.dumps({"0.weight": Bomb(str(mark))}))
    with pytest.raises(WeightsError, match=r"evil.pth (holds more than tensors|is damaged)"):
        read_weights(path)
    assert not mark.exists()


def test_a_whole_model_is_refused(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=r"would run code when loaded; save model.state_dict\(\) instead"):
        read_weights(tmp_path / "model.pth")


def truncated(path):
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("none.pth", lambda p: None, "there is no file"),
        ("empty.pth", lambda p: p.write_bytes(b""), "damaged or no file of weights"),
        ("text.pth", lambda p: p.write_text("hello, this is text"), "damaged or no file of weights"),
        ("cut.pth", truncated, "damaged or no file of weights"),
        ("cut.safetensors", lambda p: p.write_bytes(b"\x08\0\0\0\0\0\0\0{"), "no sound safetensors file"),
        ("weights.h5", lambda p: p.write_bytes(b"x"), "neither .safetensors nor one of .pth, .pt, .th"),
        ("list.pth", lambda p: torch.save([1, 2], p), "holds no state_dict"),
        ("numbers.pth", lambda p: torch.save({"a": 3}, p), "holds something else than a tensor under 'a'"),
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
    monkeypatch.setattr(weights, "LARGEST", 1_000_000)
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(3_000_000))
    assert path.stat().st_size < 10_000
    with pytest.raises(WeightsError, match=r"bomb.pth would unpack to"):
        read_weights(path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"0.weight": STATE["0.weight"]}, r"mine does not fit this network: it lacks 0\.bias$"),
        ({**STATE, "more": torch.zeros(1)}, "has the unknown more$"),
        ({**STATE, "0.weight": torch.zeros(3, 3)}, r"has 0.weight in the shape \(3, 3\), not \(2, 3\)$"),
        (
            {f"layer{i}": torch.zeros(1) for i in range(5)},
            r"lacks 0.bias, 0.weight, has the unknown layer0.* and 2 more$",
        ),
    ],
)
def test_mismatches_are_named_key_by_key(state, message):
    model = nn.Sequential(nn.Linear(3, 2))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(WeightsError, match=message):
        load_weights(model, state, "mine")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
