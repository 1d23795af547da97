import numpy as np
import pytest
import torch

import workbench as wb
from workbench.kernels.unfolding import unfold


@pytest.fixture
def kernel(generator):
    return torch.randn(6, 4, 3, 3, generator=generator)


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_kernel_is_a_table_of_filters(kernel):
    figure = wb.plot.kernel(kernel, "mine", rows=5, columns=3)
    axes = figure.axes[0]
    picture = np.asarray(axes.images[0].get_array().filled(np.nan))
    assert picture.shape == (5 * 4 - 1, 3 * 4 - 1)
    assert np.allclose(picture[8:11, 4:7], kernel[2, 1])
    assert np.isnan(picture[3]).all()  # between the filters
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3", "4"]
    assert axes.get_title() == "mine"
    low, high = axes.images[0].get_clim()
    assert -low == high == pytest.approx(float(kernel[:5, :3].abs().max()))  # white is zero


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


def test_growing_rank_ends_at_the_original(kernel):
    figure = wb.plot.growing_rank(kernel, ranks=(1, 3, 6))
    words = texts(figure)
    assert [text.splitlines()[0] for text in words] == ["patterns,", "rank 1", "rank 3", "rank 6", "original"]
    assert "100 % explained" in words[3]
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(images) == 5 * 6
    last, original = images[-12:-6], images[-6:]
    assert np.allclose(last, original, atol=1e-6)
    assert np.allclose(original[2], kernel[2, 0])
    flat = np.array([image.ravel() for image in images[6:12]])
    assert np.linalg.matrix_rank(flat, tol=1e-5) == 1


def test_what_cannot_be_drawn(kernel):
    for draw in (wb.plot.kernel, wb.plot.unfoldings, lambda k: wb.plot.growing_rank(k, (1,))):
        with pytest.raises(ValueError, match=r"this picture is of a kernel of shape .*, not \(6, 36\)"):
            draw(kernel.flatten(1))
    with pytest.raises(ValueError, match="too large for this picture"):
        wb.plot.unfoldings(kernel)
    with pytest.raises(ValueError, match="rank_out=7 does not fit"):
        wb.plot.growing_rank(kernel, ranks=(7,))


def test_a_kernel_of_zeros_can_be_drawn():
    wb.plot.kernel(torch.zeros(2, 2, 3, 3))._repr_png_()
    wb.plot.growing_rank(torch.zeros(2, 2, 3, 3), ranks=(1,))._repr_png_()
