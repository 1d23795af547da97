"""Spectra, galleries, filters, rank curves and rooflines in print."""

import subprocess
import sys

import numpy as np
import pytest

import workbench as wb
from workbench.inspect.rank_curve import CurvePoint
from workbench.kernels.evbmf import evbmf_matrix


@pytest.fixture(scope="module")
def planted():
    """EVBMF of five directions in noise."""
    rng = np.random.default_rng(0)
    noise, signal = rng.standard_normal((40, 200)), rng.standard_normal((40, 5)) @ rng.standard_normal((5, 200))
    return evbmf_matrix(noise + 3 * signal)


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_spectrum(planted):
    (axes,) = wb.plot.spectrum(planted, "planted").axes
    assert len(axes.patches) == 40
    assert {"without the noise's part", "signal: rank 5", "noise"} < set(labels(axes))
    assert axes.get_title() == "planted"
    assert any(line.get_ydata()[0] == planted.threshold for line in axes.lines)


def test_free_energy_has_its_minimum_at_the_star(planted):
    curve, star = wb.plot.free_energy(planted).axes[0].lines
    assert star.get_xdata()[0] == planted.noise_variance
    assert star.get_ydata()[0] <= min(curve.get_ydata()) + 1e-12


@pytest.mark.parametrize("matrix", [np.ones((6, 9)), np.zeros((3, 4))])
def test_without_noise(matrix):
    found = evbmf_matrix(matrix)
    assert "no noise" in wb.plot.free_energy(found).axes[0].texts[0].get_text()
    assert "noise" in labels(wb.plot.spectrum(found).axes[0])


def test_explained_ends_at_all_of_it(spectra):
    figure = wb.plot.explained(spectra["features.3"])
    values, explained = figure.axes
    out, in_ = explained.lines
    assert out.get_ydata()[[0, -1]] == pytest.approx([0, 100])
    assert out.get_ydata()[16] == pytest.approx(100 * (1 - spectra["features.3"].error(rank_out=16) ** 2))
    assert len(in_.get_xdata()) == 33
    assert np.array_equal(values.lines[0].get_ydata(), spectra["features.3"].singular_out)
    assert len(wb.plot.explained(spectra["features.0"], "first").axes[0].lines) == 1  # only its output side is reduced
    data, metadata = figure._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == (
        "features.3. singular value against direction, strongest first. explained (%) against directions kept"
    )


def test_gallery(network, data, plan):
    small = wb.decompose(network, plan)
    found = wb.gallery(network, data.test, 7, compressed=small, prefer_changed=True)
    shown = [axes for axes in wb.plot.gallery(found).axes if axes.images]
    assert len(shown) == 7
    title = shown[0].get_title(loc="left")
    assert title.startswith(f"{found.pictures[0].name}\n")
    assert "✗ compressed: " in title


def test_rank_curve():
    agreement = wb.Score(0.6, 1.0, 100, "agreement")
    points = [CurvePoint(0.1, 2, rank, 5.0, agreement, wb.Score(0.9, 1.0, 100)) for rank in (3, 9)]
    (axes,) = wb.plot.rank_curve(points, "one layer").axes
    accuracy, same = axes.lines
    assert list(accuracy.get_xdata()) == list(same.get_xdata()) == [3, 9]
    assert (list(accuracy.get_ydata()), list(same.get_ydata())) == ([90, 90], [60, 60])
    assert axes.get_ylabel() == "share of 100 images (%)"
    assert labels(wb.plot.rank_curve([]).axes[0]) == ["same answer as the original"]


def test_roofline(profile, roof):
    (axes,) = wb.plot.roofline(profile, roof).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (labels(axes)[0], labels(axes)[-1]) == ("original: whole convolutions", "this machine's roof")
    assert axes.collections[0].get_offsets()[0].tolist() == pytest.approx([100, 2.5])
    assert len(wb.plot.roofline(profile).axes[0].lines) == 0


def test_a_figure_loads_its_own_library_only():
    code = """
import sys, workbench as wb
from workbench.plot.interactive.spectrum import spectrum
spectrum(None, None)
print("matplotlib" in sys.modules)
wb.plot.spectrum
print("plotly" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
