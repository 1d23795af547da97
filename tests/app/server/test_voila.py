import logging

from plotly.offline import get_plotlyjs

from workbench.app.server.voila import library, means_something


def test_the_library_is_plotlys_own():
    assert (library() / "plotly.min.js").read_text(encoding="utf-8") == get_plotlyjs()


def test_only_the_remark_on_pings_is_kept_back():
    def record(text, *values):
        return logging.LogRecord("tornado.general", logging.WARNING, "file", 1, text, values, None)

    assert not means_something(record("The websocket_ping_timeout (%s) cannot be longer than ...", 90000))
    assert means_something(record("Uncaught exception %s", "in a handler"))
