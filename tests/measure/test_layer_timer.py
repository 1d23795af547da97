import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from workbench.measure import layer_timer as alone
from workbench.measure.layer_timer import TRANSLATED, Alone, cold, quick
from workbench.measure.runtimes import Runner, missing

CPU = torch.device("cpu")


def macs(module, inputs):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(inputs)
    return counter.get_total_flops() / 2


@pytest.fixture
def translating(monkeypatch):
    """A machine that takes a nanosecond for each MAC, and in a runtime that translates for each number in and out."""

    def prepare(module, inputs, runtime, **settings):
        moved = inputs.numel() + module(inputs).numel() if runtime in TRANSLATED else 0
        taken = 1e-9 * (macs(module, inputs) + moved)
        return Runner(lambda: inputs, lambda: taken)

    monkeypatch.setattr(alone, "prepare", prepare)


@pytest.mark.parametrize("runtime", ["eager", "compile", *TRANSLATED])
def test_what_the_ends_of_a_program_cost_is_not_the_layers(translating, runtime):
    layer, shape = nn.Conv2d(8, 8, 3, padding=1), (2, 8, 16, 16)
    clock = Alone(runtime, 1, False, CPU)
    work = 1e-9 * macs(layer, torch.zeros(shape))
    assert clock.seconds(layer, shape) == pytest.approx(work)
    ends = 1e-9 * 2 * 2 * 8 * 16 * 16 if runtime in TRANSLATED else 0
    assert clock.whole(layer, shape) == pytest.approx(work + ends)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", TRANSLATED)
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
    clock = Alone(runtime, 1, True, CPU)
    shape = (2, 8, 12, 12)
    assert clock.whole(layer, shape) > 0
    assert clock.seconds(layer, shape) >= 0


def test_measuring_draws_no_random_numbers(translating):
    layer, before = nn.Conv2d(3, 2, 1), torch.get_rng_state()
    Alone("executorch", 1, False, CPU).seconds(layer, (1, 3, 4, 4))
    assert torch.equal(torch.get_rng_state(), before)


def test_vectors_are_not_laid_out_anew(translating):
    layer = nn.Linear(8, 4)
    assert Alone("executorch", 1, False, CPU).seconds(layer, (1, 8)) == pytest.approx(1e-9 * (32 + 8 + 4))


def test_no_time_is_negative(monkeypatch):
    def prepare(module, inputs, runtime, **settings):
        return Runner(lambda: inputs, lambda: 1.0 / len(module))  # with the layer less than its neighbours take alone

    monkeypatch.setattr(alone, "prepare", prepare)
    assert Alone("executorch", 1, False, CPU).seconds(nn.Conv2d(2, 2, 1), (1, 2, 4, 4)) == 0


def test_a_quick_look_is_no_mean():
    values = iter([5.0, *[0.02, 0.01, 0.01, 0.01, 9.0] * 30])
    assert quick(lambda: next(values)) <= 0.02


def test_a_network_is_cold_whose_weights_do_not_fit_into_the_cache(monkeypatch):
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8, bias=False))
    monkeypatch.setattr(alone, "last_cache", lambda: 4 * (64 + 8 + 64))
    assert not cold(model)
    monkeypatch.setattr(alone, "last_cache", lambda: 4 * (64 + 8 + 64) - 1)
    assert cold(model)


@pytest.mark.parametrize(
    ("runtime", "is_cold", "driven"),
    [("onnxruntime", False, False), ("onnxruntime", True, True), ("eager", True, False)],
)
def test_something_else_goes_through_the_cache_before_each_run_of_a_cold_layer(monkeypatch, runtime, is_cold, driven):
    monkeypatch.setattr(alone, "last_cache", lambda: 1000)
    clock = Alone(runtime, 1, False, CPU, cold=is_cold)
    passed = []

    def run():
        passed.append(clock._other.sum().item())
        return 0.001

    monkeypatch.setattr(alone, "prepare", lambda *_, **__: Runner(lambda: None, run))
    assert clock.seconds(nn.Linear(8, 4), (1, 8)) == 0.001
    assert passed == ([2000 * i for i in range(len(passed))] if driven else [0] * len(passed))
    assert len(passed) > alone.REPEATS
    passed.clear()
    already = clock._other.sum().item()
    clock.whole(nn.Linear(8, 4), (1, 8))
    assert set(passed) == {already}  # a whole network drives out its own weights


@pytest.mark.parametrize(("enough", "runs"), [(0.0, alone.REPEATS), (0.025, 32), (9.0, 100)])
def test_a_whole_network_may_have_more_runs(monkeypatch, enough, runs):
    now = iter(range(1000))
    monkeypatch.setattr(alone.time, "perf_counter", lambda: 1e-3 * next(now))
    counts = []
    quick(lambda: counts.append(1) or 1e-3, enough=enough)
    assert len(counts) == pytest.approx(1 + runs, abs=1)
