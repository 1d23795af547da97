"""The output of a notebook's cell reaches the page although a busy machine delivers it late."""

from nbformat.v4 import new_code_cell

from tests.helpers.serving import serving

LATE_CELL = """
import sys, time
sys.stdout.flush_timeout = sys.stderr.flush_timeout = 0
get_ipython().kernel.iopub_thread.schedule(lambda: time.sleep(6))
'late' + ' output'
"""
"""The reply to its execution comes 6 s before its output; nbclient drops output that is 4 s late without an error."""


def test_output_that_comes_long_after_the_reply(tmp_path):
    with serving(tmp_path, [new_code_cell(LATE_CELL)], settings=()) as server:
        _, page = server.enter()
    assert "late output" in page.text
