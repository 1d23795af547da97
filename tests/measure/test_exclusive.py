import subprocess
import sys
from contextlib import contextmanager

import pytest

from workbench.measure import exclusive
from workbench.measure.exclusive import DISTURBED, computing, others_computing, watching

HOLD = """
import sys
from workbench.measure.exclusive import computing
with computing():
    print("computing", flush=True)
    sys.stdin.readline()
print("done", flush=True)
sys.stdin.readline()
"""


@contextmanager
def another_process():
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "computing\n"
        try:
            yield other
        finally:
            other.kill()


def test_another_process_is_seen_until_it_is_done(own_cache):
    assert not others_computing()
    with another_process() as other:
        assert others_computing()
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "done\n"
        assert not others_computing()


def test_a_process_that_died_does_not_count(own_cache):
    with another_process() as other:
        other.kill()
        other.wait()
        assert not others_computing()
    assert not list(own_cache.glob("computing/*"))


def test_the_own_process_does_not_count_and_may_nest(own_cache):
    with computing(), computing():
        assert not others_computing()
    with computing():
        assert len(list(own_cache.glob("computing/*.lock"))) == 1


def test_other_machines_do_not_count(own_cache, monkeypatch):
    with another_process():
        monkeypatch.setattr(exclusive.platform, "node", lambda: "another-machine")
        assert not others_computing()


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "below"))
    with watching() as watch:
        pass
    assert watch.disturbed == ""


@pytest.mark.parametrize("seen", [[True, False, False], [False, True, False], [False, False, True], [False] * 3])
def test_others_are_looked_for_at_the_beginning_during_and_at_the_end(own_cache, monkeypatch, seen):
    looks = iter(seen)
    monkeypatch.setattr(exclusive, "others_computing", lambda: next(looks))
    monkeypatch.setattr(exclusive, "LOOK_INTERVAL_S", 0.0)
    told = []
    with watching(lambda *report: told.append(report)) as watch:
        watch.report(0.5, "half")
    assert told == [(0.5, "half")]
    assert watch.disturbed == (DISTURBED if any(seen) else "")


def test_looks_are_rare(own_cache, monkeypatch):
    looks = []
    monkeypatch.setattr(exclusive, "others_computing", lambda: looks.append(1) and False)
    with watching() as watch:
        for i in range(100):
            watch.report(i / 100, "")
    assert len(looks) < 10
