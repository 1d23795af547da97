import json
import re

import pytest
from torch import nn

import workbench as wb
from tests.measure.test_counters import install
from workbench.measure import counters
from workbench.measure.energy import JOULES_PER_BYTE, JOULES_PER_MAC, SOURCE, Energy, estimate, saving, sources
from workbench.plot.interactive.energy import energy_figure, fill_energy, fill_power, power_figure

JOULES = re.compile(r"\d\s?[GMkmµnp]?J\b")


@pytest.fixture
def no_counters(monkeypatch):
    install(monkeypatch)
    monkeypatch.setattr(counters, "RAPL", "/nowhere")


@pytest.fixture
def some_counters(monkeypatch):
    return install(monkeypatch, cpus=("package-0",))


def texts(figure):
    """Every text of a figure: titles, names, labels, hovers."""

    def walk(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for each in value.values():
                yield from walk(each)
        elif isinstance(value, list):
            for each in value:
                yield from walk(each)

    return [text for text in walk(json.loads(figure.to_json())) if text]


def shown(before, after):
    """Everything that shows joules, in words."""
    figure = energy_figure()
    fill_energy(figure, {"original": before, "compressed": after})
    each = [form(energy) for energy in (before, after) for form in (str, repr, format, Energy._repr_html_)]
    rows = [" ".join(row) for energy in (before, after) for row in energy._rows() if row[0] != "source"]
    fields = [getattr(energy, name) for energy in (before, after) for name in ("text", "source", "label")]
    made = [json.dumps(energy.to_dict()) for energy in (before, after)]
    return [*each, *rows, *fields, *made, saving(before, after), *texts(figure)]


def test_without_counters_every_joule_is_an_estimate(network, smaller, no_counters):
    before, after = wb.energies([network, smaller], seconds_per_image=[1e-3, 5e-4])
    everything = shown(before, after)
    with_joules = [text for text in everything if JOULES.search(text) or "mJ" in text]
    assert len(with_joules) > 25
    assert [text for text in with_joules if "estimate" not in text] == []
    assert [text for text in everything if "measured" in text and 'measured": false' not in text] == []
    assert not before.measured
    assert before.trace is None
    figure = energy_figure()
    fill_energy(figure, {"original": before})
    assert figure.layout.yaxis.title.text == "µJ for one image (estimate)"
    assert "no energy counters" in str(before)


def test_the_search_finds_a_joule_without_a_label():
    assert JOULES.search("232 mJ instead of 1.2 J")
    assert JOULES.search("4.60 pJ")
    assert not JOULES.search("12 M multiply-adds")


def test_with_counters_it_is_measured(network, smaller, some_counters):
    seen = []
    before, after = wb.energies(
        [network, smaller], seconds=0.02, rounds=2, batch=2, progress=lambda *report: seen.append(report)
    )
    for energy in (before, after):
        assert energy.measured
        assert energy.watts == pytest.approx(23.0)
        assert energy.joules == pytest.approx(23.0 * energy.seconds, rel=0.5)  # medians of two windows
        assert energy.least <= energy.joules <= energy.most
        assert set(energy.parts) == {"CPU 0", "memory of CPU 0"}
        assert energy.trace.watts == pytest.approx([23.0] * len(energy.trace.watts))
        assert "measured with counters of CPU 0 (RAPL)" in energy.source
    everything = shown(before, after)
    assert [text for text in everything if "estimate" in text] == []
    assert [text for text in everything if JOULES.search(text) and "measured" not in text] == []
    assert [share for share, _ in seen] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert before.trace.starts[0] < after.trace.starts[0] < before.trace.starts[-1]  # in turns


def test_the_figure_of_power(network, smaller, some_counters):
    before, after = wb.energies([network, smaller], seconds=0.02, rounds=2)
    figure = power_figure()
    fill_power(figure, {"original": before.trace, "compressed": after.trace})
    original = figure.data[0]
    assert [y for y in original.y if y is not None] == pytest.approx([23.0] * (2 * len(before.trace.watts)))
    assert None in original.y  # a gap where the other network ran
    assert figure.layout.yaxis.title.text == "power (W), measured"
    fill_power(figure, {})
    assert "estimate" in figure.layout.annotations[0].text


def test_counters_that_stand_still(network, some_counters, monkeypatch):
    real = some_counters.end_window

    def still(self, key):
        found = real(self, key)
        found.cpu_energy, found.dram_energy = {0: 0.0}, None
        return found

    monkeypatch.setattr(some_counters, "end_window", still)
    found = wb.energy(network, seconds=0.01, rounds=1)
    assert not found.measured
    assert "stood still" in found.why


def test_it_can_be_stopped(network, some_counters):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wb.energy(network, progress=stop)


def test_the_estimate_is_arithmetic():
    """One linear layer: 12 multiply-adds, and 12 + 3 + 4 + 3 numbers of 4 bytes."""
    network = wb.Network(nn.Linear(4, 3), (4,), name="linear")
    found = estimate(network, seconds_per_image=2.0)
    low, high = JOULES_PER_BYTE
    assert found.parts == pytest.approx({"multiply-adds": 12 * 4.6e-12, "memory": 88 * 243.75e-12})
    assert found.joules == pytest.approx(12 * JOULES_PER_MAC + 88 * (low + high) / 2)
    assert (found.least, found.most) == pytest.approx((12 * 4.6e-12 + 88 * 162.5e-12, 12 * 4.6e-12 + 88 * 325e-12))
    assert found.watts == found.joules / 2
    many = estimate(network, batch=10)
    assert many.parts["memory"] == pytest.approx((15 * 4 / 10 + 7 * 4) * 243.75e-12)
    assert many.parts["multiply-adds"] == pytest.approx(12 * 4.6e-12)


def test_the_estimate_says_where_it_comes_from(network):
    source = estimate(network).source
    for words in ("estimate", "Horowitz", "ISSCC 2014", "45 nm", "4.60 pJ", "without idle power and caches"):
        assert words in source


@pytest.mark.parametrize("batch", [1, 8])
def test_a_plan_costs_what_its_network_will(network, smaller, batch):
    assert estimate(smaller.plan, batch=batch).parts == pytest.approx(estimate(smaller, batch=batch).parts)
    assert estimate(smaller.plan).joules < estimate(network).joules


def test_where_two_estimates_come_from_names_what_was_counted_of_each(network, smaller):
    before, after = estimate(network), estimate(smaller)
    text = sources(before, after)
    for one in (before, after):
        assert one.source.removesuffix(SOURCE).rstrip("; ") in text
    assert text.count(SOURCE) == 1
    assert sources(before, before) == before.source


@pytest.mark.parametrize(("joules", "title", "height"), [(2.5, "J", 2.5), (2.5e-2, "mJ", 25), (2.5e-4, "µJ", 250)])
def test_the_axis_has_the_unit_of_the_words(joules, title, height):
    figure = energy_figure()
    fill_energy(figure, {"original": Energy(joules, False, "a table", "net", parts={"all": joules})})
    assert figure.layout.yaxis.title.text == f"{title} for one image (estimate)"
    assert figure.data[0].y == pytest.approx((height,))
    assert f"{height:.3g}" in figure.data[-1].text[0].replace("25.0", "25").replace("2.50", "2.5")
    assert f" {title}" in figure.data[-1].text[0]


def test_less_and_more(network, smaller):
    before, after = estimate(network), estimate(smaller)
    ratio = before.joules / after.joules
    assert saving(before, after).startswith(f"x{ratio:.2f} less energy an image (estimate): ")
    assert saving(after, before).startswith(f"x{ratio:.2f} more energy an image (estimate): ")


def test_measured_and_estimated_are_not_compared(network):
    one, other = Energy(1.0, True, "counted"), estimate(network)
    with pytest.raises(ValueError, match="no comparison"):
        saving(one, other)
    with pytest.raises(ValueError, match="side by side"):
        fill_energy(energy_figure(), {"one": one, "other": other})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0}, "seconds is more than 0"),
        ({"rounds": 0}, "rounds is"),
        ({"batch": -1}, "batch is"),
        ({"seconds": float("nan")}, "seconds is"),
    ],
)
def test_numbers_that_make_no_sense(network, options, message):
    with pytest.raises(ValueError, match=message):
        wb.energy(network, **options)


def test_what_it_takes(network):
    with pytest.raises(TypeError, match="this takes a Network"):
        estimate(network.model)
    with pytest.raises(TypeError, match="this takes a Network"):
        wb.energy("digits_vgg")
    with pytest.raises(ValueError, match="1 networks, but seconds_per_image of 2"):
        wb.energies([network], seconds_per_image=[1.0, 2.0])
