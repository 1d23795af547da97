import numpy as np
import pytest

from workbench.plot.interactive.spectrum import spectrum


def regions(figure, axes="x"):
    """[(name, first and last direction)] of one of the two unfoldings."""
    named = [shape for shape in figure["layout"]["shapes"] if shape.get("name") and shape["xref"] == axes]
    return [(shape["name"], shape["x0"] + 0.5, shape["x1"] - 0.5) for shape in named]


@pytest.fixture
def drawn(spectra, plan, valid):
    """Draw features.3 at some ranks."""
    return lambda **ranks: valid(spectrum(spectra["features.3"], plan.with_ranks("features.3", **ranks)["features.3"]))


def test_values_ranks_and_threshold(spectra, drawn):
    found, figure = spectra["features.3"], drawn(rank_in=5, rank_out=7)
    bars_in, line_in, bars_out, line_out = figure["data"][:4]
    assert np.array_equal(bars_in["y"], found.singular_in)
    assert np.array_equal(bars_out["y"], found.singular_out)
    assert bars_out["x"] == list(range(1, 65))
    assert regions(figure) == [("kept", 1, 5), ("left out", 6, 32)]
    assert regions(figure, "x2") == [("kept", 1, 7), ("left out", 8, 64)]
    assert set(line_in["y"]) == {found.in_.threshold}
    assert set(line_out["y"]) == {found.out.threshold}
    assert figure["layout"]["annotations"][0]["text"].endswith("5 of 32 directions kept; EVBMF finds 14</span>")


def test_the_outline_is_that_of_the_bars(spectra, drawn):
    shapes = drawn(rank_in=5)["layout"]["shapes"]
    (path,) = (shape["path"] for shape in shapes if shape["type"] == "path" and shape["xref"] == "x")
    heights = [float(step[1:]) for step in path.split() if step.startswith("V")]
    assert np.allclose(heights, [*spectra["features.3"].singular_in, 0], rtol=1e-3)
    assert [float(step[1:]) for step in path.split() if step.startswith("H")] == [k + 1.5 for k in range(32)]


def test_a_rank_changes_shapes_and_titles_only(drawn):
    """So the page gets, and redraws, only the layout."""
    one, other = drawn(rank_in=5), drawn(rank_in=9)
    assert one["data"] == other["data"]
    changed = {key for key in one["layout"] if one["layout"][key] != other["layout"][key]}
    assert changed == {"shapes", "annotations"}
    assert one["layout"]["uirevision"] == "features.3"


def test_a_kept_layer_keeps_all(spectra, plan, valid):
    figure = valid(spectrum(spectra["features.3"], plan.keep("features.3")["features.3"]))
    assert regions(figure)[0] == ("kept", 1, 32)
    assert not figure["layout"]["shapes"][4]["visible"]
    assert "all 32 directions kept" in figure["layout"]["annotations"][0]["text"]


def test_tucker1_has_no_input_mode(spectra, plan, valid):
    figure = valid(spectrum(spectra["classifier.2"], plan["classifier.2"]))
    assert figure["data"][0]["x"] == []
    assert figure["layout"]["annotations"][0]["text"].endswith("not reduced in this layer</span>")
    assert not figure["layout"]["xaxis"]["visible"]
    assert regions(figure) == []
    nothing = valid(spectrum(None, None))
    assert all(trace["x"] == [] for trace in nothing["data"][:4])
    assert nothing["layout"]["shapes"] == []
