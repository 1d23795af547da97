"""A run's report: whole, escaped, self-contained, and honest about what was not measured."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from workbench.exporters.check import Check
from workbench.exporters.files import Exported
from workbench.exporters.measured import latencies

import workbench as wb
from workbench.exporters import drawings
from workbench.exporters.report import report_html
from workbench.network.data import Accuracy
from workbench.runs.run import Stage

LATENCY = [
    {"runtime": "eager", "dense_ms": 1.2, "compressed_ms": 0.6, "speedup": 2.0, "realised": 0.5},
    {"runtime": "ExecuTorch", "dense_ms": 0.9, "compressed_ms": 0.3, "speedup": 3.0, "realised": 0.75},
]
ENERGY = {"dense_mj": 3.25, "compressed_mj": 1.125, "measured": False, "source": "a table of 2014"}
VOID = {"meta", "img", "br", "use", "path"}


class Reader(HTMLParser):
    """The words of a page, and whatever would fetch or run something."""

    def __init__(self, page):
        super().__init__()
        self.open, self.words, self.bad, self.tables, self.tags = [], [], [], 0, []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.tables += tag == "table"
        if tag in ("script", "link", "iframe", "object", "base", "form"):
            self.bad.append(tag)
        for name, value in ((name, value or "") for name, value in attributes):
            fetched = name in ("src", "href", "xlink:href", "srcset", "data", "poster")
            if name.startswith("on") or (fetched and not value.startswith(("data:image/png;base64,", "#"))):
                self.bad.append((tag, name, value))
            if name == "style" and re.search(r"url\((?!#)", value):
                self.bad.append((tag, name, value))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        if not self.open or self.open[-1] != "style":
            self.words.append(text)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def run(smaller, tmp_path_factory):
    stages = {
        ("original", "validation"): Accuracy(98.99, 100.0, 297),
        ("original", "test"): Accuracy(99.4, 100.0, 500),
        ("decomposed", "test"): Accuracy(90.0, 99.0, 500),
        ("calibrated", "test"): Accuracy(99.2, 100.0, 500),
    }
    store = wb.RunStore(tmp_path_factory.mktemp("store") / "runs.sqlite")
    settings = {"images": 128, "recipe": {"epochs": 2}}
    measured = {"latency": LATENCY, "energy": ENERGY}
    return store.add(smaller, "digits", stages=stages, settings=settings, measured=measured, seed=7, note="my note")


@pytest.fixture(scope="module")
def page(run, network, smaller, spectra, data):
    pictures = wb.gallery(network, smaller, data.test, 3)
    exports = [Exported(Path("x/digits.onnx"), "ONNX", 364_756, Check(1e-7, 1.0, 500, "test"))]
    return report_html(run, network=network, smaller=smaller, spectra=spectra, pictures=pictures, exports=exports)


def test_everything_is_in_it(page, run, network):
    found = Reader(page)
    assert not found.open
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        *("What was done", "Accuracy", "Images", "Speed, measured", "Energy (estimate)", "Layer by layer"),
        *("What was redundant", "Files", "How it was made"),
    ]
    assert found.tags.count("svg") == 4
    assert found.tags.count("img") == 3
    for text in (
        "digits_vgg, compressed",
        "run 1, on digits",
        "my note",
        f"x{run.plan.macs_ratio:.2f} fewer multiply-adds",
        "99.20 % of 500 test images right; original: 99.40 %",
        "calibrated (each layer refitted to the original's outputs on images without labels)",
        "decomposed test 90.00 87.1 to 92.3",
        "features.17 Tucker-2",
        "digits.onnx ONNX 0.36 MB every answer on 500 images",
        "seed 7",
        'recipe {"epochs": 2}',
        "version of torch",
        network.sha256,
        run.weights_hash,
        "arXiv:1511.06530",
    ):
        assert text in found.text, text


def test_nothing_is_fetched_and_nothing_runs(page):
    assert Reader(page).bad == []
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert set(re.findall(r"https?://[^\"'<> ]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_what_people_wrote_is_escaped(run, network):
    evil = "<script>alert(1)</script>\"'&"
    stage = Stage(evil, evil, Accuracy(50.0, 60.0, 10))
    parts = tuple(replace(part, reason=evil) for part in run.plan)
    measured = {"latency": [{**LATENCY[0], "runtime": evil}], "energy": {**ENERGY, "source": evil}}
    bad = replace(
        run,
        network=evil,
        data=evil,
        note=evil,
        stages=(stage,),
        settings={evil: evil},
        measured=measured,
        plan=replace(run.plan, layers=parts, policy=evil, network=evil),
    )
    page = report_html(bad, network=replace(network, source=evil, name=evil))
    assert "<script" not in page
    found = Reader(page)
    assert found.bad == []
    assert found.text.count("<script>alert(1)</script>") > 12


@pytest.mark.parametrize("flag", [False, None, "yes", 1])
def test_every_joule_that_was_not_measured_is_called_an_estimate(run, flag):
    page = report_html(replace(run, measured={"energy": {**ENERGY, "measured": flag}}))
    text = Reader(page).text
    assert text.count("mJ") == 4
    for place in (match.start() for match in re.finditer("mJ", text)):
        assert "estimate" in text[max(0, place - 60) : place + 20]
    for number in re.finditer(r"\b(3\.25|1\.125|1\.12)\b", text):
        assert "estimate" in text[max(0, number.start() - 40) : number.end() + 20]
    assert "a table of 2014" in text


def test_measured_energy_is_not_called_an_estimate(run):
    text = Reader(report_html(replace(run, measured={"energy": {**ENERGY, "measured": True}}))).text
    assert "3.25 mJ (measured)" in text
    assert "estimate" not in text


def test_speed_realised_and_the_fastest_of_each(run):
    text = Reader(report_html(run)).text
    ratio = run.plan.macs_ratio
    assert f"PyTorch 1.2 0.6 x2.00 {2 / ratio:.2f}" in text
    assert f"x3.00 as fast in the fastest runtime: 0.3 ms instead of 0.9, {3 / ratio:.0%} of what" in text


def test_speed_says_how_and_where_it_was_measured(run):
    row = {"runtime": "eager", "dense_ms": 1.2, "compressed_ms": 0.6, "how": "PyTorch, batch 1, 2 threads"}
    text = Reader(report_html(replace(run, measured={"latency": [row], "machine": "a small processor"}))).text
    assert "PyTorch, batch 1, 2 threads 1.2 0.6" in text
    assert "Machine: a small processor." in text


@pytest.mark.parametrize(
    "measured",
    [
        {},
        {"latency": [], "energy": {}},
        {"latency": None, "energy": None},
        {"latency": "fast", "energy": 3},
        {"latency": [{"runtime": "x"}, 3, {"dense_ms": 0, "compressed_ms": 1}, {"dense_ms": "1", "compressed_ms": 1}]},
        {"energy": {"dense_mj": float("nan"), "compressed_mj": True}},
    ],
)
def test_what_was_not_measured_is_said_or_left_out(run, measured):
    text = Reader(report_html(replace(run, measured=measured))).text
    assert "Speed was not measured in this run." in text
    assert "mJ" not in text


def test_a_run_without_anything(run):
    bare = wb.Run(run.network, run.data, replace(run.plan, spectra=None))
    text = Reader(report_html(bare)).text
    assert "This run was not scored." in text
    assert "What was redundant" not in text


def test_random_weights_are_said(run, network):
    page = report_html(run, network=replace(network, random_weights=True))
    assert "random weights: its ranks and accuracies mean nothing" in page


def test_drawings_take_the_pages_colour_and_name_themselves(run, spectra):
    for svg in (
        drawings.accuracies(run.stages),
        drawings.layers(run.plan),
        drawings.spectra(spectra, run.plan),
        drawings.latencies(latencies(run)),
    ):
        assert ElementTree.fromstring(svg).attrib["aria-label"]  # noqa: S314 - our own
        assert "currentColor" in svg
        assert drawings.INK not in svg


def test_the_layers_that_cost_most_are_drawn_in_their_order(run, monkeypatch):
    monkeypatch.setattr(drawings, "MOST_LAYERS", 3)
    text = Reader(report_html(run)).text
    assert "The 3 layers that cost most are drawn; all are in the tables." in text
    assert "classifier.2" in text
