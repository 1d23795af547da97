import pytest
import torch

import workbench as wb
from workbench.kernels.unfolding import unfold


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


def test_what_cannot_be_drawn():
    kernel = torch.zeros(6, 4, 3, 3)
    for draw in (wb.plot.kernel, wb.plot.unfoldings):
        with pytest.raises(ValueError, match=r"this picture is of a kernel of shape .*, not \(6, 36\)"):
            draw(kernel.flatten(1))
    with pytest.raises(ValueError, match="too large for this picture"):
        wb.plot.unfoldings(kernel)
