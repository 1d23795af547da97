"""The gallery, the filters and the tables follow the state."""

import base64
import io

import ipywidgets as w
import numpy as np
import pytest
from PIL import Image

from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app.state import State
from workbench.app.steps.compare.gallery import COUNT, Pictures
from workbench.app.steps.compare.gallery_view import data_url, pictures_panel, sheet
from workbench.app.steps.compare.paper import Paper
from workbench.app.steps.compare.paper_view import layerwise_panel, paper_panel


def settled(model):
    for _ in range(5):
        model.job.wait(30)
    assert model.job.error == ""
    return model


@pytest.fixture
def pictures():
    """A session with the bundled network open, and its pictures."""
    state = State()
    model = Pictures(state)
    model.state = state
    done(state, state.open())
    return settled(model)


def test_pictures_follow_the_networks(pictures):
    assert len(pictures.gallery.pictures) == COUNT
    assert all(p.after is None for p in pictures.gallery.pictures)
    assert pictures.filters is None
    state = pictures.state
    done(state, state.compress())
    settled(pictures)
    assert all(p.after is not None for p in pictures.gallery.pictures)
    assert pictures.filters.layer == "features.0"
    before = [p.index for p in pictures.gallery.pictures]
    pictures.seed = 5
    settled(pictures)
    assert [p.index for p in pictures.gallery.pictures] != before
    pictures.changed_first = True
    settled(pictures)
    assert all(p.changed for p in pictures.gallery.pictures)  # of 500 a third have
    done(state, state.open(network="resnet20"))
    settled(pictures)
    assert pictures.gallery is None
    assert pictures.filters is None


def test_the_panel_shows_who_is_right(pictures):
    state = pictures.state
    panel = pictures_panel(state, pictures)
    changed = find(panel, w.Checkbox, "look for changed answers")
    assert changed.disabled
    assert html(panel).count("<img") == COUNT
    assert "✓" in html(panel)
    assert html(panel).count("compressed: not yet") == COUNT  # its place is kept
    assert "The filters of the first layer appear here" in html(panel)
    done(state, state.compress())
    settled(pictures)
    assert not changed.disabled
    changed.value = True
    settled(pictures)
    assert html(panel).count("wb-changed") == COUNT
    assert html(panel).count("✗") >= COUNT  # two answers that differ are not both right
    assert html(panel).count("<img") == COUNT + 2
    assert "32 filters of features.0" in html(panel)
    assert "not yet" not in html(panel)
    first = html(panel)
    find(panel, w.Button, "Other images").click()
    settled(pictures)
    assert html(panel) != first


def test_a_misfit_has_no_pictures(pictures):
    state = pictures.state
    panel = pictures_panel(state, pictures)
    done(state, state.open(network="resnet20"))
    settled(pictures)
    assert "No images to show" in html(panel)
    assert "<img" not in html(panel)


def decoded(url):
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_pictures_are_encoded_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert np.array_equal(np.asarray(decoded(data_url(image, 104))), image)
    large = np.zeros((400, 300, 3), np.uint8)
    assert decoded(data_url(large, 104)).size == (156, 208)


def test_a_sheet_holds_every_filter():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 3)).astype(np.uint8)
    found = sheet(images, columns=2, zoom=1)
    assert found.shape == (3 * 6, 2 * 7, 3)
    assert np.array_equal(found[12:15, 0:4], images[4])
    assert (found[3:6] == 255).all()


def test_the_layerwise_table_follows_the_plan(state):
    panel = layerwise_panel(state)
    assert "14, 16" in panel.value
    state.choose_ranks(rank_in=7, rank_out=9)
    assert "7, 9" in panel.value
    assert "1x1 + core + 1x1" in panel.value
    assert "No network is open" in layerwise_panel(State()).value


def test_the_papers_table_is_computed_when_asked_for(state):
    paper = Paper(state)
    panel = paper_panel(state, paper)
    assert "<table" not in html(panel)
    find(panel, w.Dropdown, "Compressed layers").value = "default"
    find(panel, w.Button, "Compute the table").click()
    settled(paper)
    shown = html(panel)
    for text in ("61.0 M", "724 M", "(p)", "published", "digits_vgg *", "x5.25"):
        assert text in shown
    row = paper.table["digits_vgg"]
    assert row.after.n == 500
    linear = find(panel, w.Checkbox, "with fully connected layers")
    assert linear.value
    find(panel, w.Dropdown, "Compressed layers").value = "spatial"
    assert not linear.value
    linear.value = True
    assert paper.fully_connected


def test_random_weights_are_not_compressed_in_the_papers_table(state):
    done(state, state.open(weights="random"))
    paper = Paper(state)
    paper.compute()
    settled(paper)
    assert "random weights" in paper.note
    assert all(row.plan is None for row in paper.table.rows)
