"""Format results as aligned text, HTML tables and CSV."""

import csv
import io
from collections.abc import Sequence
from html import escape
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of cells that a spreadsheet reads as formulas."""
MIN_MEASURED_GAIN = 1.03
"""Smallest ratio of two measured values that are reported as different."""
PREFIXES = (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9), ("p", 1e-12))


def _three_digits(number: float) -> str:
    digits = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:.{digits}f}"


def count(number: float) -> str:
    """Return a count in three significant digits and a unit: 999, 1.23 k, 61.0 M, 15.5 G."""
    return f"{number:.0f}" if abs(number) < 999.5 else quantity(number, "")


def times(ratio: float) -> str:
    """Return a ratio in three significant digits: x5.25, x17.6, x176."""
    return f"x{_three_digits(ratio)}"


def compared(gain: float, better: str, worse: str, same: str = "") -> str:
    """Return a ratio in words: "x1.42 faster", "x1.10 slower"; `same`, if given, for a ratio within 3 % of 1."""
    if same and 1 / MIN_MEASURED_GAIN < gain < MIN_MEASURED_GAIN:
        return same
    return f"{times(gain)} {better}" if gain >= 1 else f"{times(1 / gain)} {worse}"


def quantity(number: float, unit: str) -> str:
    """Return a quantity in three significant digits, a prefix and a unit: 1.23 ms, 45.6 µJ, 26.4 GB."""
    prefix, size = next((p for p in PREFIXES if abs(number) >= 0.9995 * p[1]), ("", 1.0))
    return f"{_three_digits(number / size)} {prefix}{unit}"


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> str:
    """Return a table as text; the columns numbered in `left` are left-aligned, the others right-aligned."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        cells = (c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return "  ".join(cells).rstrip()

    return "\n".join([line(headers), line(["-" * w for w in widths]), *map(line, rows)])


def html_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", left: Sequence[int] = (0,)
) -> str:
    """Return a table as HTML; every cell is escaped."""

    def cells(row: Sequence[str], tag: str) -> str:
        align = ("left" if i in left else "right" for i in range(len(row)))
        return "".join(f'<{tag} style="text-align:{a}">{escape(c)}</{tag}>' for c, a in zip(row, align, strict=True))

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{head}<thead><tr>{cells(headers, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def csv_text(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as CSV; text that a spreadsheet would read as a formula gets a leading apostrophe."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_escaped(cell) for cell in row] for row in [headers, *rows]])
    return text.getvalue()


def _escaped(cell: Any) -> Any:
    if not isinstance(cell, str) or cell == "-" or not cell.startswith(FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


class Table:
    """Mixin for results: print as an aligned table, show as HTML in a notebook, save as CSV.

    `left` has the numbers of the left-aligned columns.
    """

    headers: Sequence[str] = ()
    left: Sequence[int] = (0,)

    @property
    def rows(self) -> list[list[str]]:
        """Cells as text, one list for each row."""
        raise NotImplementedError

    @property
    def caption(self) -> str:
        """Line above the table, or ""."""
        return ""

    def __str__(self) -> str:
        caption = f"{self.caption}\n" if self.caption else ""
        return caption + text_table(self.headers, self.rows, left=self.left)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html_table(self.headers, self.rows, caption=self.caption, left=self.left)

    def to_csv(self) -> str:
        """Return the table as CSV text."""
        return csv_text(self.headers, self.rows)
