"""MkDocs hook: show links that leave the folder `docs` as text, because the site does not have their targets."""

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with `[text](../path)` replaced by `text`."""
    return re.sub(r"(?<!!)\[([^\]]+)\]\(\.\./[^)]*\)", r"\1", markdown)
