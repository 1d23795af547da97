"""The plot of time against same answers."""

import pytest

from workbench.measure.latency import Latency
from workbench.measure.speed import Speed
from workbench.plot.interactive.speeds import speeds


def test_each_network_is_a_point_in_each_runtime(valid):
    samples = {"original": [0.008] * 3, "compressed": [0.004] * 3, "int8": [0.002] * 3}
    same = {"original": 1.0, "compressed": 0.9, "int8": 0.85}
    latencies = {"onnxruntime": Latency("a", samples, "", {}, same), "eager": Latency("b", samples, "", {}, {})}
    found = Speed(2.0, latencies, {}, 100)
    traces = valid(speeds(found))["data"]
    assert [(t["name"], t["x"], t["y"]) for t in traces] == [
        ("original", [8.0], [100.0]),
        ("compressed", [4.0], [90.0]),
        ("int8", [2.0], [85.0]),
    ]
    assert traces[2]["error_y"]["arrayminus"][0] == pytest.approx(85 - 76.7, abs=0.1)  # Wilson
    assert valid(speeds(Speed(2.0, latencies, {})))["data"] == valid(speeds(None))["data"] == []
