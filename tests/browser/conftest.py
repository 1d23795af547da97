"""A real Voila server and a real browser."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from benchmarks._browser import FLAGS, INSTALL_HINT, chromium, collect_errors, dashboard, served
from workbench.app.server.serve import ADDRESS, ROOT, free_port


def pytest_collection_modifyitems(items):
    """Tests of this folder need a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")  # playwright keeps an event loop running in this thread
def browser():
    path = chromium()
    if path is None:
        if os.environ.get("WORKBENCH_REQUIRE_BROWSER"):
            pytest.fail(INSTALL_HINT)
        pytest.skip(INSTALL_HINT)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="package")
def voila(tmp_path_factory):
    """A dashboard served as `make dashboard` serves it."""
    log = tmp_path_factory.mktemp("voila") / "log"
    with dashboard(log) as server:
        assert f"Workbench dashboard: {server.url('')}" in log.read_text()
        yield server


@pytest.fixture(scope="package")
def voila_with_images(tmp_path_factory, shared):
    """The same, with sixty real images in the folder of data sets."""
    folder = tmp_path_factory.mktemp("datasets")
    (folder / "sample").mkdir()
    head, *lines = (shared / "imagenet_sample" / "labels.csv").read_text().splitlines()
    (folder / "sample" / "labels.csv").write_text("\n".join([head, *lines[:600:10]]))
    for name in (line.split(",")[0] for line in lines[:600:10]):
        (folder / "sample" / name).symlink_to(shared.resolve() / "imagenet_sample" / name)
    with dashboard(folder / "log", variables={"WORKBENCH_DATASETS": str(folder)}) as server:
        yield server


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    """Address of JupyterLab on a copy of the notebooks; no settings of the user's, no news."""
    port, home = free_port(), tmp_path_factory.mktemp("lab")
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(notebook, home)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [f"--ServerApp.root_dir={home}", "--IdentityProvider.token=", "--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", f"--ServerApp.ip={ADDRESS}"]
    own = {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
    address = f"http://{ADDRESS}:{port}/"
    with served(command, address, "api", home / "log", own) as server:
        yield server


@pytest.fixture
def page(browser, request):
    """A page that notes every error, and asks no other machine; $WORKBENCH_SCREENSHOTS keeps a picture of its end."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(120_000)  # a busy machine is slow, and that is no fault
    page.problems, asked = collect_errors(page), []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    if folder := os.environ.get("WORKBENCH_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{request.node.name}.png", full_page=True)
    context.close()
    here = (f"http://{ADDRESS}:", f"ws://{ADDRESS}:", "data:", "blob:", "file:")
    assert [url for url in asked if not url.startswith(here)] == []
