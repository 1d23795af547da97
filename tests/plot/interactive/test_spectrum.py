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
    assert regions(figure) == [("kept", 1, 5), ("left out", 6, 32)]
    assert regions(figure, "x2") == [("kept", 1, 7), ("left out", 8, 64)]
    assert (set(line_in["y"]), set(line_out["y"])) == ({found.in_.threshold}, {found.out.threshold})
    assert figure["layout"]["annotations"][0]["text"].endswith("5 of 32 directions kept; EVBMF finds 14</span>")
    (path,) = (
        shape["path"] for shape in figure["layout"]["shapes"] if shape["type"] == "path" and shape["xref"] == "x"
    )
    heights = [float(step[1:]) for step in path.split() if step.startswith("V")]
    assert np.allclose(heights, [*found.singular_in, 0], rtol=1e-3)  # the outline of the bars


def test_a_rank_changes_shapes_and_titles_only(drawn):
    """So the page gets, and redraws, only the layout."""
    one, other = drawn(rank_in=5), drawn(rank_in=9)
    assert one["data"] == other["data"]
    assert {k for k in one["layout"] if one["layout"][k] != other["layout"][k]} == {"shapes", "annotations"}


def test_layers_that_are_not_reduced_on_a_side(spectra, plan, valid):
    whole = valid(spectrum(spectra["features.3"], plan.keep("features.3")["features.3"]))["layout"]
    assert not whole["shapes"][4]["visible"]
    assert "all 32 directions kept" in whole["annotations"][0]["text"]
    figure = valid(spectrum(spectra["classifier.2"], plan["classifier.2"]))
    assert figure["data"][0]["x"] == []
    assert not figure["layout"]["xaxis"]["visible"]
    assert regions(figure) == []
    nothing = valid(spectrum(None, None))
    assert all(trace["x"] == [] for trace in nothing["data"][:4])
    assert nothing["layout"]["shapes"] == []
