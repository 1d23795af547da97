import json
import sys

from benchmarks import journey


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
