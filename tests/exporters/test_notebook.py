"""A run's notebook: its cells make the run's network again."""

from dataclasses import replace

import nbformat
import pytest
import torch

import workbench as wb
from workbench.exporters.notebook import notebook
from workbench.network.scores import Score
from workbench.runs.run import Run, Stage, StageName


@pytest.fixture(scope="module")
def run(network, spectra, data):
    small = wb.decompose(network, wb.budget_plan(spectra, macs_ratio=6))
    small = wb.calibrate(small, data.unlabelled.sample(200))
    return Run.of(small, "digits", [Stage(StageName.CALIBRATED, {"test": wb.score(small, data.test)})])


def code(path):
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    return [cell.source for cell in found.cells if cell.cell_type == "code"]


def execute(path):
    names = {}
    exec("\n".join(code(path)), names)  # noqa: S102 - our own
    return names


def test_the_cells_make_the_runs_network_again(run, tmp_path):
    names = execute(notebook(run, tmp_path / "run.ipynb"))
    assert names["plan"] == replace(run.plan, spectra=None)
    after, before = names["small"].model.state_dict(), run.network.model.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    first = (tmp_path / "run.ipynb").read_bytes()
    assert notebook(run, tmp_path / "run.ipynb").read_bytes() == first


@pytest.mark.parametrize("teacher", [{}, {"teacher": False}])
def test_recovery_by_the_runs_settings(run, tmp_path, teacher):
    stages = [Stage(name) for name in (StageName.DECOMPOSED, StageName.FINE_TUNED)]
    settings = {"planner": "budget", "epochs": 1, "learning_rate": 0.01, **teacher}
    names = execute(notebook(replace(run, stages=tuple(stages), settings=settings), tmp_path / "run.ipynb"))
    assert len(names["small"].history) == 1
    source = "\n".join(code(tmp_path / "run.ipynb"))
    assert "epochs=1, learning_rate=0.01" in source
    assert "calibrate" not in source
    assert ("teacher=network" in source) is not bool(teacher)


def test_recovery_is_in_the_order_of_the_run(run, tmp_path):
    stages = tuple(Stage(name) for name in (StageName.DISTILLED, StageName.CALIBRATED))
    names = execute(notebook(replace(run, stages=stages, settings={"distilled_epochs": 1}), tmp_path / "run.ipynb"))
    assert names["small"].fitted
    source = "\n".join(code(tmp_path / "run.ipynb"))
    assert source.index("epochs=1") < source.index("wb.calibrate")


def test_other_weights_are_noticed(run, tmp_path):
    original = wb.Network(run.network.original.model, (1, 8, 8), name="digits_vgg", sha256="0" * 64)
    other = wb.CompressedNetwork.of(original, run.plan, run.network.model)
    with pytest.raises(AssertionError, match="made from other weights"):
        execute(notebook(replace(run, network=other), tmp_path / "run.ipynb"))


def test_texts_of_a_store_are_texts_and_not_code(run, tmp_path):
    evil = "'''\"\"\"\\');raise SystemExit('`<script>"
    parts = tuple(replace(part, reason=evil) for part in run.plan)
    plan = replace(run.plan, layers=parts, network=evil, policy=evil)
    stages = (Stage(StageName.ORIGINAL, {evil: Score(0.5, 0.6, 10)}),)
    bad = replace(run, plan=plan, network_name=evil, data_name=evil, stages=stages)
    path = notebook(bad, tmp_path / "run.ipynb")
    load, apply, _ = code(path)
    names = {"network_name": None}
    exec(load.replace("wb.load_network", "str").replace("wb.load_data", "str").split("assert")[0], names)  # noqa: S102
    assert names["network"] == names["data"] == evil
    exec("import workbench as wb\n" + apply.split("\nsmall")[0], names)  # noqa: S102
    assert names["plan"].layers[0].reason == evil
    title = nbformat.read(path, as_version=4).cells[0].source
    assert title.startswith("# `")
    assert "`<script>" not in title
