"""Look at widgets without a browser."""

import ipywidgets as w

from workbench.app.widgets.page_start import walk


def find(widget, kind, description=None):
    """All widgets of a kind below one, or the one with that description."""
    found = [item for item in walk(widget) if isinstance(item, kind)]
    return found if description is None else next(item for item in found if item.description == description)


def html(widget):
    """All text below a widget."""
    return " ".join(item.value for item in find(widget, w.HTML))


def upload_messages(files, size=None, piece=2**20):
    """What the page says of files, as (name, content): each message, and its buffer if it has one."""
    content = b"".join(data for _, data in files)
    yield ({"kind": "begin", "files": [[name, len(data) if size is None else size] for name, data in files]},)
    yield from (({"kind": "piece", "at": at}, content[at : at + piece]) for at in range(0, len(content), piece))
    yield ({"kind": "end"},)


def upload(widget, files, piece=2**20):
    """Send files, name -> content, to an upload widget as the page does; whether it took them."""
    answers = []
    widget.send = answers.append
    for message, *buffers in upload_messages(files.items(), piece=piece):
        widget._receive(None, message, [memoryview(buffer) for buffer in buffers])
    return answers[-1]["ok"]
