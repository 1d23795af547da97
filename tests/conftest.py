"""What the tests share: one thread, the bundled network and data, and small networks with every kind of layer."""

import os
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

import workbench as wb

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items):
    """Begin with the files that have slow tests, so that all workers end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _one_thread_and_a_cache_of_its_own(tmp_path_factory):
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start: two threads each get in each other's way
    os.environ["WORKBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["WORKBENCH_RUNS"] = str(tmp_path_factory.mktemp("runs") / "runs.sqlite")  # of the browser's servers


@pytest.fixture(autouse=True)
def _no_runs_of_others(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path_factory.mktemp("runs") / "runs.sqlite"))


@pytest.fixture(autouse=True)
def _weights_of_seed_0():
    torch.manual_seed(0)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def short_folder():
    """With a short path: names of the kernels' sockets have 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="wb-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real networks and images that are not part of the project."""
    folder = Path(os.environ.get("WORKBENCH_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data in {folder}; set WORKBENCH_SHARED_DATA to the folder that has them")
    return folder


@pytest.fixture(scope="session")
def data() -> wb.Data:
    return wb.load_data("digits")


@pytest.fixture(scope="session")
def network() -> wb.Network:
    return wb.load_network("digits_vgg")


@pytest.fixture(scope="session")
def spectra(network) -> wb.Spectra:
    return wb.analyze(network)


@pytest.fixture
def plan(spectra) -> wb.Plan:
    return wb.evbmf_plan(spectra)


@pytest.fixture(scope="session")
def small(network, spectra) -> wb.CompressedNetwork:
    """The bundled network by EVBMF's plan."""
    return wb.decompose(network, wb.evbmf_plan(spectra))


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Mixed(nn.Module):
    """Strides, dilation, padding modes, 1x1, grouped and depthwise convolutions, a layer called twice, two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.dilated = nn.Conv2d(16, 24, 3, padding=2, dilation=2)
        self.twice = nn.Conv2d(24, 24, (3, 5), padding=(1, 2), padding_mode="reflect")
        self.pointwise = nn.Conv2d(24, 32, 1)
        self.same = nn.Conv2d(32, 32, 3, padding="same", padding_mode="circular")
        self.grouped = nn.Conv2d(32, 32, 3, padding=1, groups=4)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.hidden = nn.Linear(32 * 4 * 4, 40)
        self.last = nn.Linear(40, 5, bias=False)

    def forward(self, x):
        x = torch.relu(self.dilated(self.first(x)))
        x = self.twice(torch.relu(self.twice(x)))
        x = self.depthwise(self.grouped(self.same(self.pointwise(x))))
        x = nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)
        return self.last(torch.relu(self.hidden(x)))


@pytest.fixture
def mixed() -> wb.Network:
    return wb.Network(Mixed().double().eval(), input_shape=(3, 19, 22), name="mixed")
