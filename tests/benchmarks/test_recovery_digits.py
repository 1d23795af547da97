import pytest

from benchmarks import _recovery_digits


@pytest.mark.slow
def test_eight_times_fewer_macs_within_a_point():
    result = _recovery_digits.run()
    assert result["macs_ratio"] >= 8
    assert result["decomposed"] < result["calibrated"]
    assert result["finetuned"] >= result["original"] - 1.0
