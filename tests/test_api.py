"""The names of the notebook API, and the README's examples, which run as they stand but for the seconds."""

import re
from pathlib import Path

import pytest

import workbench as wb
from tests.helpers.machines import machine
from workbench.measure import time_plan

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_readmes_code_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # it makes files
    # what layers promise on a busy machine would decide whether a plan can be made
    monkeypatch.setattr(time_plan, "measure_times", lambda network, spectra, **_: machine(spectra, overhead=1e-6))
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S):
        exec(re.sub(r"seconds=\d+", "seconds=0.1", block), names)  # noqa: S102 - our own README
    plan, small, test = names["plan"], names["small"], names["data"].test
    assert (plan["features.3"].rank_in, plan["features.3"].rank_out) == (12, 20)
    assert plan.weights < names["network"].weights / 3
    assert small.weights == small.plan.weights
    assert wb.score(small, test).top1 > 0.95
    assert names["tight"].macs_ratio >= 6
    assert len(names["store"].runs()) == 1
    assert all((tmp_path / name).stat().st_size for name in ("small.onnx", "small.zip", "run.html"))


def test_every_name_can_be_used():
    for name in wb.__all__:
        assert getattr(wb, name) is not None
        assert not (Path(wb.__file__).parent / f"{name}.py").exists()  # a module would take its place
    assert set(wb.__all__) <= set(dir(wb))
    with pytest.raises(AttributeError):
        wb.nothing  # noqa: B018
    listed = re.findall(r"^::: workbench\.(\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(wb.__all__)
