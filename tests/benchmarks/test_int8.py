import pytest

from benchmarks import int8
from workbench.exporters import executorch


@pytest.fixture
def found(spectra, network, data):
    import workbench as wb

    small = wb.decompose(network, wb.budget_plan(spectra, 3))
    scored = wb.Split(data.test.images[:20], data.test.labels[:20], "scored")
    return int8.measured(small, data.train.sample(20), scored, seconds=0.05)


def test_every_network_is_timed_weighed_and_compared(found):
    runtimes = ["onnxruntime"] if executorch.missing() else ["onnxruntime", "executorch"]
    assert list(found) == ["macs_ratio", "weights_ratio", *runtimes]
    for row in (found[name] for name in runtimes):
        assert set(row["bytes"]) == set(row["agreement"]) == {"original", "compressed", "int8"}
        assert row["bytes_ratio"] == row["bytes"]["int8"] / row["bytes"]["compressed"] < 1
        assert row["agreement"]["original"] == 1
        assert row["points_lost"] == pytest.approx(100 * (row["agreement"]["compressed"] - row["agreement"]["int8"]))
        assert row["slower_than_float"] == (row["int8_ms"] > row["compressed_ms"])
        assert min(row["original_ms"], row["compressed_ms"], row["int8_ms"]) > 0
