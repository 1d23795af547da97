import numpy as np
import pytest

import workbench as wb


def planted(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((40, 200)) + 3 * rng.standard_normal((40, 5)) @ rng.standard_normal((5, 200))


def labels(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_spectrum():
    found = wb.evbmf_matrix(planted())
    figure = wb.plot_spectrum(found, "planted")
    axes = figure.axes[0]
    assert len(axes.patches) == 40
    assert labels(figure)[0] == "without the noise's part" or "signal: rank 5" in labels(figure)
    assert axes.get_title() == "planted"
    assert any(line.get_ydata()[0] == found.threshold for line in axes.lines)


def test_free_energy_has_its_minimum_at_the_star():
    found = wb.evbmf_matrix(planted())
    curve, star = wb.plot_free_energy(found).axes[0].lines
    assert star.get_xdata()[0] == found.noise_variance
    assert star.get_ydata()[0] <= min(curve.get_ydata()) + 1e-12


def test_a_notebook_shows_it_as_a_picture():
    assert wb.plot_spectrum(wb.evbmf_matrix(planted()))._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("matrix", [np.ones((6, 9)), np.zeros((3, 4))])
def test_without_noise(matrix):
    found = wb.evbmf_matrix(matrix)
    assert "no noise" in wb.plot_free_energy(found).axes[0].texts[0].get_text()
    wb.plot_spectrum(found)


def test_gallery_and_filters(network, data, plan):
    smaller = wb.decompose(network, plan)
    found = wb.gallery(network, smaller, data.test, count=7, prefer_changed=True)
    figure = wb.plot_gallery(found, "digits")
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 7
    title = shown[0].get_title(loc="left")
    assert title.startswith(found.pictures[0].name)
    assert "original: " in title
    assert "✗ compressed: " in title
    assert figure._repr_png_().startswith(b"\x89PNG")

    filters = wb.first_filters(network, smaller)
    figure = wb.plot_filters(filters)
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(images) == 2 * 32
    assert np.array_equal(images[0], filters.original[0])
    assert np.array_equal(images[32], filters.reconstructed[0])
    assert f"{100 * filters.error:.1f} % off" in figure.get_suptitle()
