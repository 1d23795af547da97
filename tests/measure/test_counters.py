"""Zeus is not needed here: a module that behaves like it takes its place."""

import sys
import types
import warnings
from types import SimpleNamespace

import pytest
import torch

from workbench.measure import counters
from workbench.measure.counters import find_meter


class Monitor:
    """Counters that say what they are told: watts of each, or a chip's millijoules a second."""

    gpus, cpus, soc = 0, (), None
    """Number of GPUs, names of RAPL's zones, millijoules a second of a chip by name."""

    def __init__(self, gpu_indices=None):
        self.gpu_indices = list(range(self.gpus)) if gpu_indices is None else gpu_indices
        self.cpu_indices = list(range(len(self.cpus)))
        zones = [SimpleNamespace(rapl_file=SimpleNamespace(name=name)) for name in self.cpus]
        self.cpus = SimpleNamespace(cpus=zones)
        self.soc_is_present = self.soc is not None
        self.open = {}

    def begin_window(self, key):
        assert key not in self.open
        self.open[key] = counters.time.perf_counter()

    def end_window(self, key):
        took = counters.time.perf_counter() - self.open.pop(key)
        warnings.warn("measured as zero", stacklevel=1)  # as Zeus does for short windows
        soc = None
        if self.soc_is_present:
            soc = SimpleNamespace(**{name: None if mw is None else mw * took for name, mw in self.soc.items()})
        return SimpleNamespace(
            time=took,
            gpu_energy=dict.fromkeys(self.gpu_indices, 100.0 * took),
            cpu_energy=dict.fromkeys(self.cpu_indices, 20.0 * took) or None,
            dram_energy={0: 3.0 * took} if self.cpu_indices else None,
            soc_energy=soc,
        )


def install(monkeypatch, **facts):
    kind = type("ZeusMonitor", (Monitor,), facts)
    package = types.ModuleType("zeus")
    module = types.ModuleType("zeus.monitor")
    module.ZeusMonitor = kind
    package.monitor = module
    monkeypatch.setitem(sys.modules, "zeus", package)
    monkeypatch.setitem(sys.modules, "zeus.monitor", module)
    return kind


def test_without_zeus(monkeypatch):
    monkeypatch.setitem(sys.modules, "zeus.monitor", None)
    assert counters.counters() == (
        "Energy counters are read by Zeus, which is not installed: pip install -e '.[energy]'."
    )


def test_a_zeus_that_does_not_start(monkeypatch):
    def broken(_):
        raise OSError("libamd_smi.so: cannot open\nand more")

    monkeypatch.setattr(counters, "import_module", broken)
    assert counters.counters().endswith("which does not start here: libamd_smi.so: cannot open.")


def test_drivers_that_fail(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("NVML: driver/library version mismatch")

    install(monkeypatch, __init__=fail)
    assert counters.counters() == (
        "Zeus cannot read this machine's energy counters: NVML: driver/library version mismatch."
    )


def test_a_machine_without_counters(monkeypatch):
    install(monkeypatch)
    monkeypatch.setattr(counters, "RAPL", "/nowhere")
    assert counters.counters() == "This machine shows no energy counters (NVML, RAPL, Apple or Jetson)."
    assert find_meter({torch.device("cpu")}).endswith(" for cpu, where the network runs")


def test_counters_that_only_root_may_read(monkeypatch, tmp_path):
    install(monkeypatch)
    monkeypatch.setattr(counters, "RAPL", str(tmp_path))
    assert "may only be read by root" in counters.counters()


def test_which_there_are(monkeypatch):
    install(monkeypatch, gpus=2, cpus=("package-0", "psys"))
    assert counters.counters().startswith("Counters of GPU 0, GPU 1, CPU 0 (RAPL), read by Zeus")
    assert find_meter({torch.device("cpu")}).names() == ["CPU 0 (RAPL)"]  # an idle GPU does not count
    assert find_meter({torch.device("cuda", 1)}).names() == ["GPU 1", "CPU 0 (RAPL)"]


def read(meter, seconds, monkeypatch):
    now = iter([0.0, seconds])
    monkeypatch.setattr(counters.time, "perf_counter", lambda: next(now))
    meter.begin("window")
    return meter.end("window")


def test_what_a_window_adds_up(monkeypatch):
    install(monkeypatch, gpus=1, cpus=("package-0", "psys"))
    took, parts = read(find_meter(), 2.0, monkeypatch)
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
    kind = install(monkeypatch, gpus=1)
    chip = SimpleNamespace(**soc)
    monkeypatch.setattr(
        kind,
        "end_window",
        lambda self, key: SimpleNamespace(
            time=1.0, gpu_energy={0: 7.0}, cpu_energy=None, dram_energy=None, soc_energy=chip
        ),
    )
    meter = find_meter()
    meter.begin("window")
    assert sum(meter.end("window")[1].values()) == pytest.approx(joules)  # millijoules; the GPU is in the chip


def test_a_chip_has_a_name(monkeypatch):
    class AppleSilicon(dict):
        pass

    install(monkeypatch, soc=AppleSilicon(cpu_total_mj=1))
    assert find_meter().names() == ["the AppleSilicon chip"]
