"""MkDocs hook: a link to a lesson leads to its page; one that leaves `docs` becomes text, it has no target there."""

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with `[text](../notebooks/1_x.ipynb)` leading to the lesson, and `[text](../path)` as text."""
    lessons = re.sub(r"\]\(\.\./notebooks/(\d_\w+)\.ipynb\)", r"](lessons/\1.md)", markdown)
    return re.sub(r"(?<!!)\[([^\]]+)\]\(\.\./[^)]*\)", r"\1", lessons)
