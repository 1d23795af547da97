import json
import sys

import pytest
import torch

import workbench as wb
from benchmarks import gpu

CPU = torch.device("cpu")


def test_a_device_against_itself_agrees_in_everything(network, data, monkeypatch):
    monkeypatch.setattr(gpu, "RUNS", 3)
    images = data.train.images[:16]
    found = gpu.compared(network, images, CPU)
    assert found["same_ranks"]
    assert found["snr_db"] == dict.fromkeys(gpu.MIN_SNR_DB, 200.0)
    assert found["outputs_agree"] == dict.fromkeys(gpu.MIN_SNR_DB, True)
    for side in ("cpu", "gpu"):
        assert list(found["seconds"][side]) == ["analysis", "calibrated", "distilled", "fine-tuned"]
        assert min(found["pass_ms"][side].values()) > 0


def test_other_outputs_and_ranks_do_not_agree(network, spectra, monkeypatch):
    outputs = {name: torch.ones(3, 4) for name in gpu.MIN_SNR_DB}
    seconds = dict.fromkeys(outputs, 1.0)
    plans = [wb.budget_plan(spectra, ratio) for ratio in (2.0, 3.0)]
    sides = iter(
        [
            {"seconds": seconds, "pass_ms": {}, "plans": (plans[0], plans[1]), "outputs": outputs},
            {
                "seconds": seconds,
                "pass_ms": {},
                "plans": (plans[0], plans[0]),
                "outputs": outputs | {"calibrated": 0.98 * outputs["calibrated"]},
            },
        ]
    )
    monkeypatch.setattr(gpu, "worked", lambda *_: next(sides))
    found = gpu.compared(network, torch.zeros(1, *network.input_shape), CPU)
    assert not found["same_ranks"]
    assert found["snr_db"]["calibrated"] == pytest.approx(20 * 1.69897, abs=1e-3)  # an error of a fiftieth
    assert found["outputs_agree"] == {"calibrated": False, "distilled": True, "fine-tuned": True}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_a_sentence_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["gpu", "--json", str(tmp_path / "gpu.json")])
    gpu.main()
    assert capsys.readouterr().out.startswith("There is no CUDA GPU here")
    assert len(json.loads((tmp_path / "gpu.json").read_text())["absent"].splitlines()) == 1
