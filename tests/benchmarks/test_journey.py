import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import journey, kernels
from workbench.kernels.tucker import relative_error

NAMES = sorted(path.stem for path in Path(journey.__file__).parent.glob("[!_]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_says_how_it_is_called(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(f"benchmarks.{name}").main()
    assert "--json" in capsys.readouterr().out


@pytest.mark.slow
def test_the_journey(tmp_path, monkeypatch):
    path = tmp_path / "out" / "journey.json"
    monkeypatch.setattr(sys, "argv", ["journey", "--json", str(path)])
    journey.main()
    result = json.loads(path.read_text())
    assert set(result) >= {"network", "data", "original", "decomposed", "finetuned", "seconds"}
    assert set(result["seconds"]) == {"analyze", "decompose", "finetune"}
    assert result["original"]["macs"] >= 3 * result["decomposed"]["macs"]
    assert result["finetuned"]["macs"] == result["decomposed"]["macs"]
    assert result["finetuned"]["accuracy"] >= result["original"]["accuracy"] - 1.0
    assert result["decomposed"]["accuracy"] < result["finetuned"]["accuracy"]


def test_the_kernels_find_what_was_planted():
    kernel = kernels.kernel(64, 128, torch.Generator().manual_seed(0))
    ranks, factors = kernels.workbench_tucker2(kernel)
    assert ranks == [32, 16]
    assert relative_error(kernel, factors) < 0.11  # a tenth of noise
