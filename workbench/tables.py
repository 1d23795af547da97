"""Aligned text for `print`, HTML for notebooks: how plans, spectra and networks show themselves."""

from collections.abc import Sequence
from html import escape

PREFIXES = (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9), ("p", 1e-12))


def count(number: float) -> str:
    """Three significant digits and a unit: 999, 1.23 k, 61.0 M, 15.5 G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= 0.9995 * size:
            scaled = number / size
            digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{digits}f} {unit}"
    return f"{number:.0f}"


def times(ratio: float) -> str:
    """A ratio in three significant digits: x5.25, x17.6, x176."""
    digits = 2 if ratio < 9.995 else 1 if ratio < 99.95 else 0
    return f"x{ratio:.{digits}f}"


def quantity(number: float, unit: str) -> str:
    """Three significant digits, a prefix and a unit: 1.23 ms, 45.6 µJ, 26.4 GB."""
    prefix, size = next((p for p in PREFIXES if abs(number) >= 0.9995 * p[1]), ("", 1.0))
    scaled = number / size
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f} {prefix}{unit}"


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> str:
    """Columns padded to their widest cell; those numbered in `left` start at the left, the others end at the right."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        cells = (c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return "  ".join(cells).rstrip()

    return "\n".join([line(headers), line(["-" * w for w in widths]), *map(line, rows)])


def html_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", left: Sequence[int] = (0,)
) -> str:
    """The same as an HTML table; every cell is escaped."""

    def cells(row: Sequence[str], tag: str) -> str:
        align = ("left" if i in left else "right" for i in range(len(row)))
        return "".join(f'<{tag} style="text-align:{a}">{escape(c)}</{tag}>' for c, a in zip(row, align, strict=True))

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{head}<thead><tr>{cells(headers, 'th')}</tr></thead><tbody>{body}</tbody></table>"
