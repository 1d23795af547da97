import sys
from types import SimpleNamespace

import pytest
import torch

from tests.helpers.zeus import install
from workbench.measure import counters
from workbench.measure.counters import find_meter


def fail(*_, **__):
    raise OSError("libamd_smi.so: cannot open\nand more")


def test_why_there_are_no_counters(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "zeus.monitor", None)
    assert find_meter() == "energy counters are read by Zeus, which is not installed: pip install -e '.[energy]'"
    install(monkeypatch)
    monkeypatch.setattr(counters, "RAPL", "/nowhere")
    assert find_meter() == "this machine shows no energy counters (NVML, RAPL, Apple or Jetson)"
    assert find_meter({torch.device("cpu")}).endswith(" for cpu, where the network runs")
    monkeypatch.setattr(counters, "RAPL", str(tmp_path))
    assert "may only be read by root" in find_meter()
    install(monkeypatch, __init__=fail)
    assert find_meter() == "Zeus cannot read this machine's energy counters: libamd_smi.so: cannot open"
    monkeypatch.setattr(counters, "import_module", fail)
    assert find_meter().endswith("which does not start here: libamd_smi.so: cannot open")


def test_which_counters_there_are(monkeypatch):
    install(monkeypatch, gpus=2, cpus=("package-0", "psys"))
    assert str(find_meter()) == "counters of GPU 0, GPU 1, CPU 0 (RAPL), read by Zeus"
    assert find_meter({torch.device("cpu")}).names() == ["CPU 0 (RAPL)"]  # an idle GPU does not count
    assert find_meter({torch.device("cuda", 1)}).names() == ["GPU 1", "CPU 0 (RAPL)"]


def test_what_a_window_adds_up(monkeypatch):
    install(monkeypatch, gpus=1, cpus=("package-0", "psys"))
    meter = find_meter()
    now = iter([0.0, 2.0])
    monkeypatch.setattr(counters.time, "perf_counter", lambda: next(now))
    meter.monitor.begin_window("slice")
    took, parts = meter.end_slice()
    assert took == 2.0
    assert parts == {"GPU 0": 200.0, "CPU 0": 40.0, "memory of CPU 0": 6.0}  # psys has the packages in it


@pytest.mark.parametrize(
    ("soc", "joules"),
    [
        ({"cpu_total_mj": 4000, "gpu_mj": 500, "dram_mj": 250, "ane_mj": None, "efficiency_cores_mj": [9]}, 4.75),
        ({"cpu_energy_mj": 4000.0, "gpu_energy_mj": 500.0, "total_energy_mj": 9000.0}, 9.0),
        ({"cpu_energy_mj": 4000.0, "gpu_energy_mj": 500.0, "total_energy_mj": None}, 4.5),
    ],
)
def test_chips(monkeypatch, soc, joules):
    install(monkeypatch, gpus=1, soc=SimpleNamespace(**soc))
    meter = find_meter()
    assert meter.names() == ["the SimpleNamespace chip"]
    meter.monitor.begin_window("slice")
    assert sum(meter.end_slice()[1].values()) == pytest.approx(joules)  # millijoules; the GPU is in the chip
