"""What widgets send to the page, and the explorer of ranks."""

import ipywidgets as w
import pytest
import torch
from torch import nn

import workbench as wb
from tests.helpers.widgets import html
from workbench.app.widgets.base import limit_threads
from workbench.app.widgets.explorer import FIGURES, Explorer, explore_convolution, explore_filters, explore_noise
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.page_start import PageStart
from workbench.plot.interactive.spectrum import spectrum


def test_a_rank_sends_only_the_layout(monkeypatch, spectra, plan):
    sent, updates, view = [], [], FigureView("Singular values")
    monkeypatch.setattr(FigureView, "_send", lambda _, message, **__: sent.append(message))
    for part in (plan["features.3"], plan.with_ranks("features.3", rank_in=5)["features.3"], plan["features.10"]):
        sent.clear()
        view.show(spectrum(spectra[part.name], part))
        updates.append([sorted(message["state"]) for message in sent if message["method"] == "update"])
    assert updates[1:] == [[["around"]], [["around", "traces"]]]


def test_a_page_that_is_built_gets_everything_as_it_is_now(monkeypatch):
    start, text, slider = PageStart(), w.HTML("old"), w.IntSlider(3)
    start.page = w.VBox([start, w.HBox([text, slider])])
    sent = {}
    for widget in (text, slider):
        monkeypatch.setattr(widget, "send_state", lambda key=None, box=widget: sent.update({box: box.get_state(key)}))
    start._receive(None, {"kind": "something else"}, [])
    assert sent == {}
    text.value = "new"
    sent.clear()
    start._receive(None, {"kind": "built"}, [])
    assert (sent[text]["value"], sent[slider]["value"]) == ("new", 3)
    assert not any(name.startswith("_") for name in sent[text])


def test_sliders_and_a_rank_that_does_not_fit(spectra):
    explorer = wb.explore_ranks(spectra["features.3"], rank_in=3, rank_out=4)
    assert [slider.value for slider in explorer.sliders] == [3, 4]
    explorer.move(14, 16)
    assert (explorer.shown.rank_in, explorer.shown.rank_out) == (14, 16)
    assert explorer.shown.verdict in html(explorer.widget)
    with pytest.raises(ValueError, match="rank_in=0 does not fit"):
        explorer.move(0, 5)
    assert [slider.value for slider in explorer.sliders] == [14, 16]
    explorer.sliders[1].value = 64
    assert explorer.shown.rank_out == 64


def test_a_page_without_a_kernel_gets_the_figure_at_many_values(network, data, monkeypatch):
    explorer = explore_filters(network.model.get_submodule("features.0"), data.test.images[0], rank=4)
    assert FIGURES not in explorer._repr_mimebundle_()[0]  # megabytes that a notebook does not need
    monkeypatch.setattr(Explorer, "draws_all", True)
    bundle, metadata = explorer._repr_mimebundle_()
    (slider,), figures = bundle[FIGURES]["sliders"], bundle[FIGURES]["figures"]
    assert slider["values"] == list(range(1, 26))
    assert slider["values"][slider["at"]] == 4
    assert [figure["words"].split(" of ")[0] for figure in figures] == [f"Rank {rank}" for rank in range(1, 26)]
    assert metadata["image/png"]["alt"].startswith("Rank 4 of 25")


@pytest.mark.parametrize(
    ("name", "value", "threads"),
    [("SERVER_SOFTWARE", "voila/0.5", [1]), ("WORKBENCH_THREADS", "2", [2]), ("X", "", [])],
)
def test_threads_of_a_notebook_stay_what_they_are(monkeypatch, name, value, threads):
    seen = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    for each in ("SERVER_SOFTWARE", "WORKBENCH_THREADS"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    limit_threads()
    assert seen == threads


def test_few_filters_begin_at_their_largest_rank(data):
    (slider,) = explore_filters(nn.Conv2d(1, 3, 3), data.test.images[0]).sliders
    assert (slider.value, slider.max) == (3, 3)


def test_a_grid_of_two_sliders_holds_their_values(spectra):
    explorer = wb.explore_ranks(spectra["features.3"], rank_in=15, rank_out=17)
    first, second = explorer._figures()["sliders"]
    assert first["values"][first["at"]] == 15
    assert second["values"][second["at"]] == 17
    assert len(first["values"]) == len(second["values"]) == 8


def test_a_filter_slides_over_a_picture(network, data):
    explorer = explore_convolution(network.model.get_submodule("features.0"), data.test.images[0])
    place, which = explorer.sliders
    assert (place.max, which.max) == (63, 31)
    place.value, which.value = 63, 31
    assert "Filter 31 at row 7, column 7" in explorer._words.value
    outputs = torch.tensor(explorer.shown.feature_map, dtype=torch.float32)
    wanted = network.model.get_submodule("features.0")(data.test.images[:1])[0, 31].detach()
    assert torch.allclose(outputs, wanted, atol=1e-6)


def test_the_slider_of_the_noise(data):
    explorer = explore_noise(data.train.images[:540], noise=0.5)
    assert explorer.sliders[0].value == 0.511
    explorer.sliders[0].value = 1.2
    assert "Rank 0" in html(explorer.widget)
