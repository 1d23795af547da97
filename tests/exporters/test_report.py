"""A run's report: whole, escaped, self-contained, and honest about what was not measured."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import workbench as wb
from workbench.exporters.export import Exported, Verification
from workbench.exporters.report import report
from workbench.network.scores import Score
from workbench.runs.run import Run, Stage, StageName

LATENCY = [
    {"runtime": "eager", "how": "PyTorch, batch 1, 2 threads", "dense_ms": 1.2, "compressed_ms": 0.6},
    {"runtime": "ExecuTorch", "dense_ms": 0.9, "compressed_ms": 0.3},
]
ENERGY = {"dense_mj": 3.25, "compressed_mj": 1.125, "measured": False, "source": "a table of 2014"}
EVIL = "<script>alert(1)</script>\"'&"
VOID = {"meta", "img", "br", "rect", "circle", "path"}


class Reader(HTMLParser):
    """The words of a page, its tags, and whatever would fetch or run something."""

    def __init__(self, page):
        super().__init__()
        self.open, self.words, self.bad, self.tags = [], [], [], []
        self.feed(page)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag in ("script", "link", "iframe", "object", "base", "form"):
            self.bad.append(tag)
        for name, value in attributes:
            fetched = name in ("src", "href", "xlink:href", "srcset", "data", "poster") or "url(" in (value or "")
            if name.startswith("on") or (fetched and not value.startswith("data:image/png;base64,")):
                self.bad.append((tag, name, value))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, text):
        if not self.open or self.open[-1] != "style":
            self.words.append(text)


@pytest.fixture(scope="module")
def run(small):
    stages = (
        Stage(StageName.ORIGINAL, {"validation": Score(0.9899, 1.0, 297), "test": Score(0.994, 1.0, 500)}),
        Stage(StageName.DECOMPOSED, {"test": Score(0.9, 0.99, 500)}, "budget MACs x4"),
        Stage(StageName.CALIBRATED, {"test": Score(0.992, 1.0, 500)}),
    )
    more = {"settings": {"images": 128, "recipe": {"epochs": 2}}, "seed": 7, "note": "my note", "number": 1}
    measured = {"latency": LATENCY, "energy": ENERGY, "machine": "a small processor"}
    return Run.of(small, "digits", stages, measured=measured, weights_hash="abc123", **more)


@pytest.fixture
def written(tmp_path):
    """The page of a run."""

    def write(run, **options):
        return report(run, tmp_path / "run.html", **options).read_text(encoding="utf-8")

    return write


def test_everything_is_in_it(written, run, network, small, spectra, data):
    pictures = wb.gallery(network, data.test, 3, compressed=small)
    exports = [Exported(Path("x/digits.onnx"), "ONNX", 364_756, Verification(1e-7, 1.0, 500, "test"))]
    page = written(replace(run, plan=replace(run.plan, spectra=spectra)), pictures=pictures, exports=exports)
    found = Reader(page)
    own = Reader(written(run, text="We took <b> it.\n\nThen we left it.")).text
    assert "We took <b> it. Then we left it." in own
    assert not found.open
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        *("What was done", "Scores", "Images", "Speed, measured", "Energy (estimate)", "Layer by layer"),
        *("What was redundant", "Files", "How it was made"),
    ]
    assert (found.tags.count("svg"), found.tags.count("img")) == (2, 3)
    assert re.findall(r'data-layer="(.*?)"', page) == [part.name for part in run.plan]
    ratio = run.plan.macs_ratio
    for text in (
        "digits_vgg, compressed",
        f"x{ratio:.2f} fewer multiply-adds",
        "99.20 % of 500 test images right; original: 99.40 %",
        "decomposed test accuracy 90.00 87.1 to 92.3 99.00 97.7 to 99.6 500 budget MACs x4",
        "features.17",
        f"PyTorch, batch 1, 2 threads 1.2 0.6 x2.00 {2 / ratio:.2f}",
        f"x3.00 faster in the fastest runtime of each: 0.3 ms instead of 0.9, {3 / ratio:.0%} of what",
        "Machine: a small processor.",
        "digits.onnx ONNX 0.36 MB every answer on 500 images",
        network.sha256,
        "abc123",
    ):
        assert text in found.text, text
    assert found.bad == []  # nothing is fetched and nothing runs
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert set(re.findall(r"https?://[^\"'<> ]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_what_comes_from_a_store_or_a_file_is_escaped(written, run, network):
    original = wb.Network(network.model, network.input_shape, name=EVIL, source=EVIL, sha256=EVIL)
    parts = tuple(replace(part, reason=EVIL) for part in run.plan)
    plan = replace(run.plan, layers=parts, policy=EVIL, network=EVIL)
    measured = {"latency": [{**LATENCY[0], "how": EVIL}], "energy": {**ENERGY, "source": EVIL}, "machine": EVIL}
    texts = dict.fromkeys(("network_name", "data_name", "note", "error", "weights_hash", "created"), EVIL)
    stage = Stage(EVIL, {EVIL: Score(0.5, 0.6, 10)})
    settings = {EVIL: EVIL, "nested": {EVIL: [EVIL]}}
    compressed = wb.CompressedNetwork.of(original, plan, run.network.model, source=EVIL)
    bad = replace(run, **texts, stages=(stage,), settings=settings, measured=measured, plan=plan, network=compressed)
    exports = [Exported(Path(EVIL), EVIL, 1, Verification(0.0, 1.0, 1, EVIL))]
    page = written(replace(bad, versions={EVIL: EVIL}), exports=exports)
    assert "<script" not in page
    found = Reader(page)
    assert found.bad == []
    assert found.text.count("<script>alert(1)</script>") > 20


def test_every_joule_is_measured_or_an_estimate(written, run):
    for flag, kind in ((True, "measured"), (False, "estimate"), (None, "estimate"), ("yes", "estimate")):
        text = Reader(written(replace(run, measured={"energy": {**ENERGY, "measured": flag}}))).text
        assert text.count("mJ") == 4
        assert all(kind in text[max(0, at.start() - 60) : at.end() + 18] for at in re.finditer("mJ", text))
        assert "a table of 2014" in text
        assert ("estimate" in text) == (kind == "estimate")


def test_what_a_run_lacks_is_said_or_left_out(written, run, network, small):
    text = Reader(
        written(replace(run, measured={"latency": [{"runtime": "x"}], "energy": {"dense_mj": float("nan")}}))
    ).text
    assert "Speed was not measured in this run." in text
    assert "mJ" not in text
    text = Reader(written(Run(replace(run.plan, spectra=None), network_name="digits_vgg", error="It failed."))).text
    assert "This run was not scored." in text
    assert "What was redundant" not in text
    assert "It failed." in text
    stage = Stage(StageName.DECOMPOSED, {"validation": Score(0.5, 1.0, 10, "agreement")})
    original = wb.Network(network.model, network.input_shape, random_weights=True)
    untrained = wb.CompressedNetwork.of(original, small.plan, small.model)
    text = Reader(written(replace(run, stages=(stage,), network=untrained))).text
    assert "50.00 % of 10 validation images answered as by the original" in text
    assert "random weights: its ranks and scores mean nothing" in text
