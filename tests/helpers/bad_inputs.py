"""Files, folders, values and messages that the dashboard cannot use."""

from pathlib import Path

import ipywidgets as w
import torch
from safetensors.torch import save

import workbench as wb
from tests.helpers.pictures import png, written
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.upload import DEFAULT_LIMIT_MIB

NAN, INF = float("nan"), float("inf")
MARK = Path("never-run")  # written into the present folder by code in a file, if it ever runs


class Hostile:
    """Unpickled, it makes a file."""

    def __reduce__(self):
        return open, (str(MARK), "w")


def own_state(**changes):
    return {**wb.load_network("digits_vgg").model.state_dict(), **changes}


WEIGHTS = {
    "hostile.pth": lambda: written(torch.save, {"features.0.weight": Hostile()}),
    "cut.safetensors": lambda: save(own_state())[:5000],
    "text.pth": lambda: b"hello, this is text",
    "other-shape.safetensors": lambda: save(own_state(**{"classifier.2.bias": torch.zeros(9)})),
    "half.onnx": lambda: b"\x08\x07\x12\x04half",
    "nan.safetensors": lambda: save(own_state(**{"classifier.2.bias": torch.full((10,), NAN)})),
}
"""Name -> content that no network of ten digits can be made of."""

FILE_NAMES = {
    "../../etc/passwd.pth": "passwd.pth",
    "a\0b\r\tc.pth": "abc.pth",
    "invoice\u202ehtp.pth": "invoicehtp.pth",
    "a\ud800b.pth": "ab.pth",
    "x" * 5000 + ".pth": "...",
    "<img src=x onerror=alert(1)>.pth": "<img src=x onerror=alert(1)>.pth",
    "$(touch never-run);.pth": "$(touch never-run);.pth",
}
"""Name of a file -> what the page shows of it."""

PICTURE = png(size=(8, 8))
TABLES = {
    "negative": b"a.png,-1",
    "class-ten": b"a.png,10",
    "class-missing": b"a.png",
    "file-climbs": b"../a.png,1",
    "file-absent": b"b.png,1",
    "file-twice": b"a.png,1\na.png,2",
}
TABLES = {name: b"file,class_index\n" + rows + b"\n" for name, rows in TABLES.items()}
TABLES |= {"table-empty": b"", "table-binary": b"\xff\xfe\x00\x01file"}
DATA = {
    **{name: {"a.png": PICTURE, "labels.csv": content} for name, content in TABLES.items()},
    "no-pictures": {"1/a.png": b"no picture", "2/a.png": b"no picture"},
    "other-classes": {"cats/a.png": PICTURE, "dogs/a.png": PICTURE},
    "class-two-folders": {"1/a.png": PICTURE, "01/a.png": PICTURE},
}
"""Name of a folder -> its files, on which the digits' network cannot be scored."""

TOO_LARGE = (DEFAULT_LIMIT_MIB + 1) * 2**20
UPLOADS = [
    *[lambda page, name=name: page.upload(name, b"x") for name in ("picture.png", "a.pth.exe", "", ["a.pth"])],
    lambda page: page.upload("a.pth"),
    *[lambda page, size=s: page.upload("a.pth", b"xyz", size=size) for s in (2, 4, -1, NAN, INF, "many", TOO_LARGE)],
    lambda page: page.say(page.uploader, {"kind": "piece", "at": 0}, b"ab"),
    *[lambda page, say=say: page.say(page.uploader, say) for say in ({"kind": "end"}, {}, {"kind": "run"}, ["begin"])],
    *[
        lambda page, at=at, pieces=pieces: page.say_piece(at, *pieces)
        for at, pieces in ((2, [b"ab"]), ("0", [b"ab"]), (0, [b"ab", b"cd"]), (0, []))
    ],
]
"""What a page may do with its upload that is refused."""

SWEEP = "fewer MACs, from - to"
REFUSED = [
    (LayerTable, "Layers", "selected", ["features.99", 3, ["features.3"]]),
    (LayerTable, "Runs", "selected", ["999", "the best", "1; DROP TABLE run"]),
    (w.IntSlider, "input rank", "value", [0, 33, "twelve", NAN, INF, 3.5, None, True, [3], 10**400]),
    (w.FloatSlider, "EVBMF strength", "value", [NAN, 0]),
    (w.FloatSlider, "fewer MACs, times", "value", [NAN, INF, 0.5]),
    (w.FloatSlider, "fewer MACs, times", "max", ["far"]),
    (w.FloatSlider, "times as fast", "value", ["2x"]),
    (w.FloatRangeSlider, SWEEP, "value", [[6, 2], [1, 2, 3], [NAN, 2], [2, 99], "2 to 6"]),
    (w.IntText, "budgets", "value", [1, 13]),
    (w.IntText, "epochs", "value", [0, 5000, "ten", 10**400]),
    (w.FloatText, "learning rate", "value", [0, -0.1, 5, NAN, "nan"]),
    (w.IntText, "threads", "value", [0]),
    (w.IntText, "images at once", "value", [10**6]),
    (w.Dropdown, "Ranks by", "index", [99, -1, "budget", None]),
    (w.Dropdown, "Network", "index", [10**6, None]),
    (w.Dropdown, "Weights", "index", [7]),
    (w.SelectMultiple, "runtimes", "index", [[99], "eager"]),
    (w.Checkbox, "channels last", "value", ["yes"]),
    (w.Tab, "", "selected_index", [99]),
]
"""Kind of a control, its name, its trait, and values that it cannot take."""
VALUES = [(kind, text, {trait: value}) for kind, text, trait, values in REFUSED for value in values]
VALUES.append((w.Dropdown, "Layers", {"_options_labels": ["a"] * 99, "index": 98}))

MESSAGES = [
    lambda page: page.message(page.rank.layout, {"method": "update", "state": {"width": 5}, "buffer_paths": []}),
    lambda page: page.message(page.rank, {"method": "update", "state": [1]}),
    lambda page: page.message(page.rank, {"method": "delete"}),
    lambda page: page.message(page.rank, "x"),
    lambda page: page.say(page.one(w.Button, "Compress"), ["click"]),
]


def budget(page, text, multiple):
    """Ask for the most that the slider offers."""
    page.session.plan.replan(planner="budget", layers="spatial", rank_multiple=multiple)
    return lambda: page.assign(w.FloatSlider, text, value=10.0)


def sweep_beyond(page):
    budget(page, SWEEP, 16)
    page.assign(w.FloatRangeSlider, SWEEP, value=[9.9, 10.0])
    return lambda: page.click("Sweep")


def after(button, kind, text, **values):
    """A button that cannot do its work once a control has these values."""
    return lambda page: page.assign(kind, text, **values) or (lambda: page.click(button))


def rank_of_another_layer(page):
    page.assign(LayerTable, "Layers", selected="classifier.2")
    return lambda: page.assign(w.IntSlider, "input rank", value=4)


def offered(at, *, gone=False):
    def arrange(page):
        path = page.watched[0] / "net.onnx"
        path.write_bytes(b"network")
        page.saver.offer(None if at is None else path)
        if gone:
            path.unlink()
        return lambda: page.say(page.saver, at if isinstance(at, list) else {"at": at or 0})

    return arrange


UNPREPARED = ("Calibrate", "Fine-tune", "From scratch", "Measure", "Make .onnx", "Go on with this run", "Delete")
"""Buttons that need something that is not there."""
VERBS = [
    lambda page: budget(page, "fewer MACs, times", 16),
    lambda page: budget(page, "fewer weights, times", 1),
    lambda page: lambda: page.choose("Ranks by", "time"),  # which nobody has measured
    sweep_beyond,
    rank_of_another_layer,
    after("Try ranks of the picked layer", LayerTable, "Layers", selected=""),
    lambda page: page.session.recover.resume(1) and after("Measure", w.SelectMultiple, "runtimes", index=[])(page),
    *map(offered, (None, -1, 10**12, "0", NAN, ["at", 0])),
    offered(0, gone=True),
]
"""What comes before; it returns what is then refused."""
