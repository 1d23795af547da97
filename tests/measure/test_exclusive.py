import subprocess
import sys

import pytest

from tests.helpers.progress import Told
from workbench.measure import exclusive
from workbench.measure.exclusive import DISTURBED, computing, others_computing, watching

HOLD = """
import sys
from workbench.measure.exclusive import computing
for word in ("done", "again"):
    with computing():
        print("computing", flush=True)
        sys.stdin.readline()
    print(word, flush=True)
    sys.stdin.readline()
"""


def test_another_process_is_seen_until_it_is_done_or_dies(own_cache, monkeypatch):
    assert not others_computing()
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as other:
        assert other.stdout.readline() == "computing\n"
        assert others_computing()
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(exclusive.platform, "node", lambda: "another-machine")
            assert not others_computing()
        other.stdin.write("\n")
        assert other.stdout.readline() == "done\n"
        assert not others_computing()
        other.stdin.write("\n")
        assert other.stdout.readline() == "computing\n"
        other.kill()
        other.wait()
    assert not others_computing()
    assert not list(own_cache.glob("computing/*"))


def test_the_own_process_does_not_count_and_may_nest(own_cache):
    with computing(), computing():
        assert not others_computing()
        assert len(list(own_cache.glob("computing/*.lock"))) == 1


@pytest.mark.parametrize("seen", [[True, False, False], [False, True, False], [False, False, True], [False] * 3])
def test_others_are_looked_for_at_the_beginning_during_and_at_the_end(own_cache, monkeypatch, seen):
    looks = iter(seen)
    monkeypatch.setattr(exclusive, "others_computing", lambda: next(looks))
    told = Told()
    with watching(told) as watch:
        watch.report(0.5, "half")
    assert told == [(0.5, "half")]
    assert watch.disturbed == (DISTURBED if any(seen) else "")
