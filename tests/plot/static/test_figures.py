"""Spectra, galleries, filters, rank curves, rooflines and kernels in print."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.kernels.evbmf import evbmf_matrix
from workbench.kernels.unfolding import unfold


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


def test_roofline(profile, roof):
    (axes,) = wb.plot.roofline(profile, roof).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (labels(axes)[0], labels(axes)[-1]) == ("original: whole convolutions", "this machine's roof")
    assert axes.collections[0].get_offsets()[0].tolist() == pytest.approx([100, 2.5])
    assert len(wb.plot.roofline(profile).axes[0].lines) == 0


def test_unfoldings_put_every_number_where_unfold_puts_it():
    kernel = torch.arange(36).reshape(3, 2, 3, 2)
    figure = wb.plot.unfoldings(kernel)
    _, out, in_ = figure.axes
    for axes, mode in ((out, 0), (in_, 1)):
        matrix = unfold(kernel, mode)
        found = {(int(t.get_position()[1]), int(t.get_position()[0])): int(t.get_text()) for t in axes.texts}
        assert found == {(i, j): int(matrix[i, j]) for i in range(matrix.shape[0]) for j in range(matrix.shape[1])}
    colors = [
        {int(text.get_text()): tuple(color) for text, color in zip(axes.texts, shown.reshape(-1, 3), strict=True)}
        for axes, shown in ((axes, axes.collections[0].get_array()) for axes in (out, in_))
    ]
    assert colors[0] == colors[1]
    assert len(set(colors[0].values())) == 6  # one colour for each pair of channels


def test_kernels_that_cannot_be_drawn():
    kernel = torch.zeros(6, 4, 3, 3)
    for draw in (wb.plot.kernel, wb.plot.unfoldings):
        with pytest.raises(ValueError, match=r"this picture is of a kernel of shape .*, not \(6, 36\)"):
            draw(kernel.flatten(1))
    with pytest.raises(ValueError, match="too large for this picture"):
        wb.plot.unfoldings(kernel)
