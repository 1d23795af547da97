"""The contract for notebooks, line by line; the README shows the same lines."""

import re
from pathlib import Path

import pytest
import torch

import workbench as wb

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_readmes_code_runs(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # it makes a run store
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    names = {}
    for block in blocks:
        exec(block, names)  # noqa: S102 - our own README
    assert "epoch 2: loss" in capsys.readouterr().out
    plan, smaller = names["plan"], names["smaller"]
    assert (plan["features.3"].rank_in, plan["features.3"].rank_out) == (12, 20)
    assert smaller.weights == plan.weights < names["network"].weights / 3
    assert wb.accuracy(smaller, names["data"].test).top1 > 95
    assert names["tight"].macs_ratio >= 6
    assert wb.accuracy(names["mended"], names["data"].test).top1 > 95
    assert len(names["store"]) == 1


def test_the_api_is_whole():
    for name in wb.__all__:
        assert getattr(wb, name) is not None
    assert set(wb.__all__) <= set(dir(wb))
    assert set(wb._MODULE_OF) == set(wb.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        wb.nothing  # noqa: B018


def test_a_network_of_ones_own():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 4))
    network = wb.Network(model, input_shape=(3, 8, 8))
    smaller = wb.decompose(network, wb.evbmf_plan(wb.analyze(network)).with_ranks("2", rank_in=2, rank_out=2))
    assert smaller.model(torch.zeros(1, 3, 8, 8)).shape == (1, 4)


def test_no_name_of_the_api_is_a_module_that_would_take_its_place():
    for name in wb.__all__:
        assert not (Path(wb.__file__).parent / f"{name}.py").exists()
