"""Whatever is done to the dashboard: one sentence, the session lives, and nothing is written."""

import shutil
import sqlite3

import pytest

from tests.app.conftest import small_session
from tests.helpers.bad_inputs import DATA, FILE_NAMES, MARK, MESSAGES, UNPREPARED, UPLOADS, VALUES, VERBS, WEIGHTS
from tests.helpers.bad_page import Page, expect_readable
from tests.helpers.widgets import html
from workbench.app.dashboard import build_dashboard
from workbench.app.session import Session
from workbench.app.steps.compare.view import runs_view
from workbench.app.stored_runs import runs_file
from workbench.app.widgets.layer_table import LayerTable
from workbench.runs.store import RunStore


@pytest.fixture(autouse=True)
def _no_runs_of_others():
    """All cases share one store, that of `page`."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The whole dashboard with the bundled network, a run in its store, and folders of data that are no good."""
    root = tmp_path_factory.mktemp("bad")
    with pytest.MonkeyPatch.context() as patch:
        for name, where in (("CACHE", "cache"), ("RUNS", "kept/runs.sqlite"), ("DATASETS", "datasets")):
            patch.setenv(f"WORKBENCH_{name}", str(root / where))
        for name, files in {**DATA, "gone": DATA["other-classes"]}.items():
            for file, content in files.items():
                (root / "datasets" / name / file).parent.mkdir(parents=True, exist_ok=True)
                (root / "datasets" / name / file).write_bytes(content)
        patch.chdir(root / "datasets")  # where code in a file would leave its mark
        patch.setattr("workbench.app.steps.choose.model.network_names", list)
        session = Session()
        dashboard = build_dashboard(session=session)
        session.recover.decompose()
        session.choose.open(data="digits")  # the same again: the run is an earlier one now
        made = Page(session, dashboard, root / "cache", root / "kept", root / "datasets")
        assert [run.number for run in session.recover.stored] == [1]
        assert made.said() == set()
        yield made


UPLOADED = [*((name, name) for name in WEIGHTS), *FILE_NAMES.items()]


@pytest.mark.parametrize(("name", "shown"), UPLOADED, ids=range(len(UPLOADED)))
def test_files_that_are_no_weights_and_their_names(page, name, shown):
    assert shown in page.check(lambda: page.upload(name, WEIGHTS.get(name, lambda: b"no weights")()))
    assert not MARK.exists()


@pytest.mark.parametrize("act", [*UPLOADS, *MESSAGES, *UNPREPARED])
def test_messages_that_make_no_sense_and_buttons_that_need_something_else_first(page, act):
    page.check(lambda: page.click(act) if isinstance(act, str) else act(page))


@pytest.mark.parametrize(("kind", "text", "values"), VALUES)
def test_values_that_cannot_be(page, kind, text, values):
    before = page.values()
    page.check(lambda: page.assign(kind, text, **values))
    assert page.values() == before


@pytest.mark.parametrize("arrange", VERBS)
def test_work_that_cannot_be(page, arrange):
    page.check(None, arrange)


@pytest.mark.parametrize("name", ["gone", *DATA])
def test_folders_of_data(page, name):
    if name == "gone":
        shutil.rmtree(page.watched[2] / name)
    page.check(lambda: page.choose("Data", name))


@pytest.mark.parametrize("button", ["Delete", "Go on with this run"])
def test_runs_that_another_tab_has_deleted(page, button):
    def arrange(page):
        page.session.recover.decompose()
        number = page.session.recover.stored[-1].number
        page.assign(LayerTable, "Runs", selected=str(number))
        if button == "Delete":
            page.click(button)
        RunStore(runs_file()).delete(number)
        return lambda: page.click(f"Really delete run {number}?" if button == "Delete" else button)

    page.check(None, arrange)
    page.session.recover.read_store()
    assert [run.number for run in page.session.recover.stored] == [1]


@pytest.mark.parametrize("damage", [lambda c: c[:-9], lambda c: b"", lambda c: c[:99] + b"?" + c[100:], None])
def test_runs_whose_weights_are_damaged(page, damage):
    path = RunStore(runs_file()).folder / page.session.recover.stored[0].weights_file
    content = path.read_bytes()
    page.assign(LayerTable, "Runs", selected="1")
    path.unlink() if damage is None else path.write_bytes(damage(content))
    try:
        assert "weights of run 1" in page.check(lambda: page.click("Go on with this run"))
    finally:
        path.write_bytes(content)


STORES = {
    "a folder": lambda path: path.mkdir(),
    "a text": lambda path: path.write_text("these are no runs at all"),
    "another program's": lambda path: sqlite3.connect(path).execute("CREATE TABLE songs (name)").connection.close(),
    "below a file": lambda path: path.parent.joinpath("below").write_text("x"),
}


@pytest.mark.parametrize("make", STORES.values(), ids=STORES)
def test_stores_that_are_none(tmp_path, monkeypatch, make):
    """The session says so and goes on; the file is left as it is."""
    path = tmp_path / "runs.sqlite"
    make(path)
    monkeypatch.setenv("WORKBENCH_RUNS", str(path if path.exists() else tmp_path / "below" / "runs.sqlite"))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    session = small_session()
    view, recover = runs_view(session), session.recover
    session.choose.open()
    for verb in (recover.decompose, recover.calibrate):
        assert verb().error == ""
        assert recover.store_problem in html(view)
        expect_readable(recover.store_problem)
    assert (recover.run.number, recover.run.last.name) == (-1, "calibrated")
    recover.decompose()
    assert [run.number for run in recover.runs] == [-1, -2]
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
