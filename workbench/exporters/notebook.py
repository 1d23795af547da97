"""Write a run as a notebook that makes the compressed network again, step by step."""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from workbench.exporters.metadata import PAPER
from workbench.files import write_atomically
from workbench.recover.calibrate import CALIBRATION_IMAGES
from workbench.recover.recipe import Recipe
from workbench.runs.attempt import FINE_TUNING
from workbench.runs.run import Run, StageName


def notebook(run: Run, path: str | Path, *, network: str = "", data: str = "") -> Path:
    """Write a notebook that loads the original and the data, applies the run's plan, recovers and scores.

    Recovery uses the settings of the run, or those of :func:`~workbench.runs.compress.compress`.

    Parameters
    ----------
    network, data : Python expressions that load them, like ``wb.load_network("resnet18", weights="my.pt")``; "" loads
        them by their names in the run.
    """
    cells = [_cell(0, "markdown", _title(run))]
    network = network or f"wb.load_network({run.network_name!r})"
    data = data or f"wb.load_data({run.data_name!r})"
    for text, code in _steps(run, [f"network = {network}", f"data = {data}"]):
        cells.append(_cell(len(cells), "markdown", text))
        cells.append(_cell(len(cells), "code", code, execution_count=None, outputs=[]))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    write_atomically(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    return Path(path)


def _cell(number: int, kind: str, source: str, **extra: Any) -> dict[str, Any]:
    lines = source.splitlines(keepends=True)
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": lines, **extra}


def _title(run: Run) -> str:
    gains = f"MACs x{run.plan.macs_ratio:.2f} fewer, weights x{run.plan.weights_ratio:.2f} fewer"
    return f"# {_inline(run.network_name)}, compressed\n\n{_inline(run.plan.describe())}: {gains}.\n\nMethod: {PAPER}."


def _steps(run: Run, load_lines: Sequence[str]) -> list[tuple[str, str]]:
    """Return (markdown, code) of each step; `load_lines` load the network and the data."""
    load_lines = ["import workbench as wb", "", *load_lines]
    if run.network is not None and (sha256 := run.network.original.sha256):
        load_lines.append(f"assert network.sha256 == {sha256!r}, 'the run was made from other weights'")
    plan = run.plan.to_json().replace("'", "\\u0027")  # JSON's escape of a quote, which would end the string
    plan_lines = [f"plan = wb.Plan.from_json(r'''{plan}''')", "small = wb.decompose(network, plan)", "plan"]
    recipe_fields = {field.name for field in fields(Recipe)}
    settings = {key: value for key, value in run.settings.items() if key in recipe_fields}
    settings = settings if "teacher" in run.settings else {**FINE_TUNING, **settings}
    training = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    training += ", teacher=network" if run.settings.get("teacher", True) else ""
    distillation_epochs = run.settings.get("distilled_epochs", FINE_TUNING["epochs"])
    recovery = {
        StageName.CALIBRATED: f"small = wb.calibrate(small, data.unlabelled.sample({CALIBRATION_IMAGES}))",
        StageName.DISTILLED: f"small = wb.distill(small, data.unlabelled, epochs={distillation_epochs!r})",
        StageName.FINE_TUNED: f"small = wb.finetune(small, data, {training}, on_epoch=print)",
    }
    score_code = "split = data.test if len(data.test) else data.validation if len(data.validation) else data.train\n"
    score_code += 'before = {"original": wb.score(network, split)} if split.labelled else {}\n'
    score_code += '{**before, "compressed": wb.score(small, split)}'
    return [
        ('## Load\n\nYour own network or data: `weights="file"`, `root="folder"`.', "\n".join(load_lines)),
        ("## Apply the plan", "\n".join(plan_lines)),
        *((f"## Recover: {stage.name}", recovery[stage.name]) for stage in run.stages if stage.name in recovery),
        ("## Score" + _scores(run), score_code),
    ]


def _scores(run: Run) -> str:
    lines = [f"- {s.name}, {_inline(split)}: {score}" for s in run.stages for split, score in s.scores.items()]
    return "\n\nThe run had:\n\n" + "\n".join(lines) if lines else ""


def _inline(text: str) -> str:
    """Return a text as inline code of Markdown, in which HTML and links have no effect."""
    return f"`{' '.join(text.replace('`', ' ').split())}`"
