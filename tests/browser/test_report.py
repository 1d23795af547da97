"""A report as a reader opens it: a file, light and dark, on a narrow screen; nothing is fetched."""

import pytest

import workbench as wb
from workbench.network.scores import Score
from workbench.runs.run import Run, Stage, StageName


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 390)])
def test_the_report_opens_by_itself(page, network, spectra, data, tmp_path, scheme, width):
    small = wb.decompose(network, wb.evbmf_plan(spectra))
    measured = {
        "latency": [{"runtime": "eager", "dense_ms": 1.0, "compressed_ms": 0.5}],
        "energy": {"dense_mj": 2.0, "compressed_mj": 1.0, "measured": False, "source": "a table"},
    }
    stage = Stage(StageName.DECOMPOSED, {"test": Score(0.99, 1.0, 500)})
    pictures = wb.gallery(network, data.test, 6, compressed=small)
    run = Run.of(small, "digits", [stage], measured=measured)
    wb.report(run, tmp_path / "report.html", pictures=pictures)
    asked, file = [], f"file://{tmp_path}/report.html"
    page.on("request", lambda request: asked.append(request.url))
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(file)
    assert [url for url in asked if not url.startswith("data:")] == [file]
    assert page.problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (page.locator("svg").count(), page.locator("img").count()) == (2, 6)
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    ink = page.evaluate("getComputedStyle(document.querySelector('figure svg')).color")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ink[4:-1].split(","))) > sum(map(int, paper[4:-1].split(",")))) == (scheme == "dark")
