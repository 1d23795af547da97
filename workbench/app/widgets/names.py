"""Show names and values that came from outside: short, on one line, without invisible characters."""

from typing import Any


def readable(text: str, most: int = 80) -> str:
    """Return the text without control characters and direction marks; of a long one the beginning and the end.

    Parameters
    ----------
    most : characters that are shown.
    """
    kept = text if len(text) <= 4 * most else text[: 2 * most] + text[-2 * most :]
    seen = " ".join("".join(filter(str.isprintable, kept)).split())
    tail = most // 3
    return seen if len(seen) <= most else f"{seen[: most - tail - 3]}...{seen[-tail:]}"


def shown(value: Any) -> str:
    """Return a value as it was sent, in at most forty characters."""
    if value is None:
        return "nothing"
    return readable(repr(value) if isinstance(value, str | int | float | list | tuple | dict) else "that", 40)
