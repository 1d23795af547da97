"""Messages to the dashboard that cannot be.

Tables: name -> what is done, or (what is done, what comes before).
"""

import ipywidgets as w

from workbench.app.stored_runs import runs_file
from workbench.app.widgets.layer_table import LayerTable
from workbench.app.widgets.upload import DEFAULT_LIMIT_MIB
from workbench.runs.store import RunStore

NAN, INF = float("nan"), float("inf")

NAMES = {
    "separators": ("../../etc/passwd.pth", "passwd.pth"),
    "windows": ("..\\..\\boot.pth", "boot.pth"),
    "nul": ("a\0b.pth", "ab.pth"),
    "lines": ("a\nb\r\tc.pth", "abc.pth"),
    "emoji": ("\N{CAT FACE}\N{SNOWMAN}.pth", "\N{CAT FACE}\N{SNOWMAN}.pth"),
    "right to left": ("invoice\u202ehtp.pth", "invoicehtp.pth"),
    "lone surrogate": ("a\ud800b.pth", "ab.pth"),
    "5000 characters": ("x" * 5000 + ".pth", "..."),
    "markup": ("<img src=x onerror=alert(1)>.pth", "<img src=x onerror=alert(1)>.pth"),
    "a command": ("$(touch never-run);.pth", "$(touch never-run);.pth"),
    "an option": ("--weights.pth", "--weights.pth"),
}


def begun(page, size=4):
    page.say(page.uploader, {"kind": "begin", "name": "a.pth", "size": size})


def piece(*contents, at=0):
    def act(page):
        begun(page)
        page.say(page.uploader, {"kind": "piece", "at": at}, *contents)

    return act


def to_upload(content):
    return lambda page: page.say(page.uploader, content)


UPLOADS = {
    "another kind": lambda page: page.upload("picture.png", b"x"),
    "no suffix": lambda page: page.upload("weights", b"x"),
    "two suffixes": lambda page: page.upload("a.pth.exe", b"x"),
    "no name": lambda page: page.upload("", b"x"),
    "a name that is none": lambda page: page.upload(["a.pth"], b"x"),
    "empty": lambda page: page.upload("empty.pth"),
    "too large": lambda page: page.upload("a.pth", b"x", size=(DEFAULT_LIMIT_MIB + 1) * 2**20),
    "size below zero": lambda page: page.upload("a.pth", b"x", size=-1),
    "size NaN": lambda page: page.upload("a.pth", b"x", size=NAN),
    "size infinite": lambda page: page.upload("a.pth", b"x", size=INF),
    "size in words": lambda page: page.upload("a.pth", b"x", size="many"),
    "less than said": lambda page: page.upload("a.pth", b"x", size=2),
    "more than said": lambda page: page.upload("a.pth", b"xyz", size=2),
    "a piece before the beginning": lambda page: page.say(page.uploader, {"kind": "piece", "at": 0}, b"ab"),
    "an end before the beginning": to_upload({"kind": "end"}),
    "no kind": to_upload({}),
    "an unknown kind": to_upload({"kind": "run"}),
    "no message": to_upload(["begin", "a.pth"]),
    "a wrong place": piece(b"ab", at=2),
    "a place in words": piece(b"ab", at="0"),
    "two pieces at once": piece(b"ab", b"cd"),
    "a piece without content": piece(),
}


def slider(value, which="input rank", kind=w.IntSlider):
    return lambda page: page.set(kind, which, value=value)


def box(value, which, kind=w.IntText):
    return lambda page: page.set(kind, which, value=value)


def listed(index, which="Ranks by", kind=w.Dropdown):
    return lambda page: page.set(kind, which, index=index)


def picked(layer):
    return lambda page: page.pick(layer)


def more_labels(page):
    page.message(
        page.one(w.Dropdown, "Layers"),
        {"method": "update", "state": {"_options_labels": ["a"] * 99, "index": 98}, "buffer_paths": []},
    )


SETTINGS = {
    "a layer that is not there": picked("features.99"),
    "a layer with a path": picked("../../etc/passwd"),
    "a layer that is a number": picked(3),
    "a layer that is a list": picked(["features.3"]),
    "rank zero": slider(0),
    "rank below zero": slider(-4),
    "rank above the channels": slider(33),
    "rank in words": slider("twelve"),
    "rank NaN": slider(NAN),
    "rank infinite": slider(INF),
    "rank a fraction": slider(3.5),
    "rank nothing": slider(None),
    "rank yes": slider(True),
    "rank a list": slider([3]),
    "rank beyond all numbers": slider(10**400),
    "output rank zero": slider(0, "output rank"),
    "a rank that the layer has not": (slider(4), picked("classifier.2")),
    "strength NaN": slider(NAN, "EVBMF strength", w.FloatSlider),
    "strength zero": slider(0, "EVBMF strength", w.FloatSlider),
    "budget NaN": slider(NAN, "fewer MACs, times", w.FloatSlider),
    "budget infinite": slider(INF, "fewer MACs, times", w.FloatSlider),
    "budget below one": slider(0.5, "fewer MACs, times", w.FloatSlider),
    "time in words": slider("2x", "times as fast", w.FloatSlider),
    "limits of a slider": lambda page: page.set(w.FloatSlider, "fewer MACs, times", max="far"),
    "sweep the wrong way round": slider([6, 2], "fewer MACs, from - to", w.FloatRangeSlider),
    "sweep of three": slider([1, 2, 3], "fewer MACs, from - to", w.FloatRangeSlider),
    "sweep NaN": slider([NAN, 2], "fewer MACs, from - to", w.FloatRangeSlider),
    "sweep too far": slider([2, 99], "fewer MACs, from - to", w.FloatRangeSlider),
    "sweep in words": slider("2 to 6", "fewer MACs, from - to", w.FloatRangeSlider),
    "budgets too few": box(1, "budgets"),
    "budgets too many": box(13, "budgets"),
    "epochs zero": box(0, "epochs"),
    "epochs too many": box(5000, "epochs"),
    "epochs in words": box("ten", "epochs"),
    "epochs beyond all numbers": box(10**400, "epochs"),
    "learning rate zero": box(0, "learning rate", w.FloatText),
    "learning rate below zero": box(-0.1, "learning rate", w.FloatText),
    "learning rate too large": box(5, "learning rate", w.FloatText),
    "learning rate NaN": box(NAN, "learning rate", w.FloatText),
    "learning rate in words": box("nan", "learning rate", w.FloatText),
    "no threads": box(0, "threads"),
    "a million images at once": box(10**6, "images at once"),
    "a way that is not there": listed(99),
    "a way before the first": listed(-1),
    "a way in words": listed("budget"),
    "no way": listed(None),
    "a network that is not there": listed(10**6, "Network"),
    "no network": listed(None, "Network"),
    "weights that are not there": listed(7, "Weights"),
    "a schedule that is not there": listed(7, "schedule"),
    "labels without values": more_labels,
    "a runtime that is not there": listed([99], "runtimes", w.SelectMultiple),
    "runtimes in words": listed("eager", "runtimes", w.SelectMultiple),
    "yes in words": lambda page: page.set(w.Checkbox, "channels last", value="yes"),
    "a tab that is not there": lambda page: page.set(w.Tab, "", selected_index=99),
    "a width that is none": lambda page: page.message(
        page.one(w.IntSlider, "input rank").layout, {"method": "update", "state": {"width": 5}, "buffer_paths": []}
    ),
    "state that is a list": lambda page: page.message(
        page.one(w.IntSlider, "input rank"), {"method": "update", "state": [1]}
    ),
    "an unknown method": lambda page: page.message(page.one(w.IntSlider, "input rank"), {"method": "delete"}),
    "no data": lambda page: page.message(page.one(w.IntSlider, "input rank"), "x"),
    "a click that is a list": lambda page: page.say(page.one(w.Button, "Compress"), ["click"]),
}


def by_budget(multiple=1):
    return lambda page: page.session.plan.replan(planner="budget", layers="spatial", rank_multiple=multiple)


def sweep_beyond(page):
    page.set(w.FloatRangeSlider, "fewer MACs, from - to", value=[9.9, 10.0])
    page.click("Sweep")


def gone_on(page):
    page.session.recover.resume(1)


def offered(page):
    page.saver.offer(next(page.watched[0].iterdir()))


def offered_then_gone(page):
    path = page.watched[0] / "net.onnx"
    path.write_bytes(b"network")
    page.saver.offer(path)
    path.unlink()


def piece_at(at):
    return lambda page: page.say(page.saver, {"at": at}), offered


def pick_run(name):
    return lambda page: page.set(LayerTable, "Runs", selected=name)


def press(text):
    return lambda page: page.click(text)


VERBS = {
    "more than can be saved": (slider(10.0, "fewer MACs, times", w.FloatSlider), by_budget(16)),
    "more weights than can be saved": (slider(10.0, "fewer weights, times", w.FloatSlider), by_budget()),
    "time that nobody has measured": lambda page: page.choose("Ranks by", "time"),
    "a sweep out of reach": (sweep_beyond, by_budget(16)),
    "calibrate nothing": press("Calibrate"),
    "fine-tune nothing": press("Fine-tune"),
    "train nothing": press("From scratch"),
    "measure nothing": press("Measure"),
    "export nothing": press("Make .onnx"),
    "try ranks of nothing": (press("Try ranks of the picked layer"), picked("")),
    "measure in nothing": (
        press("Measure"),
        lambda page: (gone_on(page), listed([], "runtimes", w.SelectMultiple)(page)),
    ),
    "a run that is not there": pick_run("999"),
    "a run in words": pick_run("the best"),
    "a run with a query": pick_run("1; DROP TABLE run"),
    "go on with nothing": press("Go on with this run"),
    "delete nothing": press("Delete"),
    "a piece before the file": (lambda page: page.say(page.saver, {"at": 0}), lambda page: page.saver.offer(None)),
    "a piece below zero": piece_at(-1),
    "a piece beyond the end": piece_at(10**12),
    "a piece in words": piece_at("0"),
    "a piece NaN": piece_at(NAN),
    "a piece of a file that has gone": (lambda page: page.say(page.saver, {"at": 0}), offered_then_gone),
    "a piece of no message": (lambda page: page.say(page.saver, ["at", 0]), offered),
}


def gone_meanwhile(page):
    """Another tab deletes the run that is picked here."""
    page.session.recover.decompose()
    number = page.session.recover.stored[-1].number
    pick_run(str(number))(page)
    RunStore(runs_file()).delete(number)


def delete(page):
    """Press, and press again on what the button then asks."""
    page.click("Delete")
    page.click(f"Really delete run {page.session.recover.stored[-1].number}?")


RUNS = {"delete twice": delete, "go on with what was deleted": press("Go on with this run")}
