"""Griffe extension: turn the short numpydoc of this package into the form that griffe reads.

The package writes ``name, other : meaning`` on one line; griffe takes what is behind the colon for a type. Types are in
the signatures.
"""

import re
from typing import Any

import griffe

ITEM = re.compile(r"^(\S[^:\n]*?) : (.*(?:\n +.*)*)", re.M)
"""Names of a list of parameters, attributes or errors, and their meaning."""


class ShortNumpydoc(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object | griffe.Alias, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if not obj.is_alias and obj.docstring:
            returns = obj.returns if isinstance(obj, griffe.Function) else None
            obj.docstring.value = rewritten(obj.docstring.value, str(returns))


def rewritten(docstring: str, returns: str) -> str:
    """Return a docstring with each name and its meaning on lines of their own, and without reStructuredText.

    Parameters
    ----------
    returns : annotation of the function.
    """
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", docstring)
    text = re.sub(r"\.\. math:: ?(.+(?:\n.+)*)", r"```latex\n\1\n```", text)
    text = re.sub(r"``([^`\n]+)``", r"`\1`", text)
    parts = re.split(r"^(\w+)\n-{3,}\n", text, flags=re.M)
    return parts[0] + "".join(
        f"{title}\n{'-' * len(title)}\n{_section(title, body, returns)}"
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
    )


def _section(title: str, body: str, returns: str) -> str:
    if title in ("Returns", "Yields"):
        return f"{returns}\n    " + body.strip().replace("\n", "\n    ") + "\n\n"
    if title in ("Parameters", "Attributes", "Raises"):
        return ITEM.sub(lambda found: "\n".join(f"{name}\n    {found[2]}" for name in found[1].split(", ")), body)
    return body
