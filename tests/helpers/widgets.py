"""Look at widgets without a browser."""

import ipywidgets as w

from workbench.app.widgets.page_start import below


def find(widget, kind, description=None):
    """All widgets of a kind below one, or the one with that description."""
    found = [item for item in below(widget) if isinstance(item, kind)]
    return found if description is None else next(item for item in found if item.description == description)


def html(widget):
    """All text below a widget."""
    return " ".join(item.value for item in find(widget, w.HTML))


def upload_messages(name, content, size=None):
    """What the page says of a file: each message, and its buffer if it has one."""
    yield ({"kind": "begin", "files": [[name, len(content) if size is None else size]]},)
    yield from (({"kind": "piece", "at": at}, content[at : at + 2**20]) for at in range(0, len(content), 2**20))
    yield ({"kind": "end"},)


def upload(widget, name, content):
    """Send a file to an upload widget as the page does; its last answer."""
    answers = []
    widget.send = answers.append
    for message, *buffers in upload_messages(name, content):
        widget._receive(None, message, [memoryview(buffer) for buffer in buffers])
    return answers[-1]
