import pytest
import torch
from torch import nn

from tests.helpers.runners import FakeRunner, macs
from workbench.measure import layer_timer as module
from workbench.measure.layer_timer import TRANSLATING_RUNTIMES, LayerTimer, exceeds_cache, low_quartile
from workbench.measure.runtimes import missing

CPU = torch.zeros(0)


@pytest.fixture
def translating(monkeypatch):
    """A machine that takes a nanosecond for each MAC, and in a runtime that translates for each number in and out."""

    def prepare(module, inputs, runtime, **settings):
        moved = inputs.numel() + module(inputs).numel() if runtime in TRANSLATING_RUNTIMES else 0
        return FakeRunner(1e-9 * (macs(module, inputs) + moved))

    monkeypatch.setattr(module, "prepare", prepare)


@pytest.mark.parametrize("runtime", ["eager", "compile", *TRANSLATING_RUNTIMES])
def test_the_ends_of_a_program_are_not_counted_as_the_layers(translating, runtime):
    layer, shape = nn.Conv2d(8, 8, 3, padding=1), (2, 8, 16, 16)
    clock = LayerTimer(runtime, 1, False, CPU)
    work = 1e-9 * macs(layer, torch.zeros(shape))
    assert clock.layer_seconds(layer, shape) == pytest.approx(work)
    ends = 1e-9 * 2 * 2 * 8 * 16 * 16 if runtime in TRANSLATING_RUNTIMES else 0
    assert clock.network_seconds(layer, shape) == pytest.approx(work + ends)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", TRANSLATING_RUNTIMES)
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 6, 3, stride=2, padding=1, groups=2),
        nn.Conv2d(8, 8, (3, 5), padding=(1, 2), padding_mode="reflect", bias=False),
        nn.ConvTranspose2d(8, 4, 3, stride=2),
        nn.Sequential(nn.Conv2d(8, 4, 1, bias=False), nn.Conv2d(4, 8, 3)),
    ],
    ids=["strided groups", "reflecting", "transposed", "two"],
)
def test_runtimes_that_translate_take_every_kind_of_layer_with_neighbours(runtime, layer):
    if missing(runtime):
        pytest.skip(missing(runtime))
    clock = LayerTimer(runtime, 1, True, CPU)
    shape = (2, 8, 12, 12)
    assert clock.network_seconds(layer, shape) > 0
    assert clock.layer_seconds(layer, shape) >= 0


def test_measuring_draws_no_random_numbers(translating):
    layer, before = nn.Conv2d(3, 2, 1), torch.get_rng_state()
    LayerTimer("executorch", 1, False, CPU).layer_seconds(layer, (1, 3, 4, 4))
    assert torch.equal(torch.get_rng_state(), before)


def test_no_time_is_negative(monkeypatch):
    def prepare(module, inputs, runtime, **settings):
        return FakeRunner(1.0 if isinstance(module[1], nn.Identity) else 0.5)

    monkeypatch.setattr(module, "prepare", prepare)
    assert LayerTimer("executorch", 1, False, CPU).layer_seconds(nn.Conv2d(2, 2, 1), (1, 2, 4, 4)) == 0


def test_disturbed_runs_do_not_count():
    values = iter([5.0, *[0.02, 0.01, 0.01, 0.01, 9.0] * 30])
    assert low_quartile(lambda: next(values)) <= 0.02


def test_a_network_exceeds_the_cache_if_its_weights_do_not_fit(monkeypatch):
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8, bias=False))
    monkeypatch.setattr(module, "last_cache", lambda: 4 * (64 + 8 + 64))
    assert not exceeds_cache(model)
    monkeypatch.setattr(module, "last_cache", lambda: 4 * (64 + 8 + 64) - 1)
    assert exceeds_cache(model)


@pytest.mark.parametrize(
    ("runtime", "exceeds", "evicted"),
    [("onnxruntime", False, False), ("onnxruntime", True, True), ("eager", True, False)],
)
def test_weights_are_evicted_before_each_run_of_a_layer(monkeypatch, runtime, exceeds, evicted):
    monkeypatch.setattr(module, "last_cache", lambda: 1000)
    clock = LayerTimer(runtime, 1, False, CPU, evict=exceeds)
    passed = []

    def run():
        passed.append(clock._evicting.sum().item())
        return 0.001

    monkeypatch.setattr(module, "prepare", lambda *_, **__: FakeRunner(run))
    assert clock.layer_seconds(nn.Linear(8, 4), (1, 8)) == 0.001
    assert passed == ([2000 * i for i in range(len(passed))] if evicted else [0] * len(passed))
    assert len(passed) > module.MIN_RUNS
    passed.clear()
    already = clock._evicting.sum().item()
    clock.network_seconds(nn.Linear(8, 4), (1, 8))
    assert set(passed) == {already}  # a whole network evicts its own weights


@pytest.mark.parametrize(("seconds", "runs"), [(0.0, module.MIN_RUNS), (0.025, 32), (9.0, 100)])
def test_a_whole_network_may_have_more_runs(monkeypatch, seconds, runs):
    now = iter(range(1000))
    monkeypatch.setattr(module.time, "perf_counter", lambda: 1e-3 * next(now))
    counts = []
    low_quartile(lambda: counts.append(1) or 1e-3, seconds=seconds)
    assert len(counts) == pytest.approx(1 + runs, abs=1)
