"""``make api``: write what the pages in this folder take from the code.

docs/api.md is the reference of what ``import workbench as wb`` offers, from the docstrings; docs/users.md has a table
of the terms that the dashboard explains.
"""

import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import FunctionType

import workbench as wb
from workbench.app.widgets.glossary import TERMS

FOLDER = Path(__file__).parent
MARKS = "<!-- terms: written by make api -->\n", "<!-- end of terms -->\n"
GROUPS = {
    "catalog": "Networks and data by name",
    "compression": "From a network to a smaller network",
    "runs": "Many runs",
    "measure": "Speed and energy",
    "export": "Taking it home",
    "app": "Figures and the dashboard",
    "kernels": "The mathematics",
}
"""Folder of the package -> title; a module that is in no folder is among the runs."""
HEAD = """# API reference

What `import workbench as wb` offers. This page is made from the docstrings by `make api`; `help(wb.analyze)` says the
same in Python. MACs are multiply-adds for one input; the paper calls them FLOPs.
"""
LISTS = ("Parameters", "Attributes", "Raises", "Traits")
WIDTH = 100


def reference() -> str:
    """The whole page."""
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in sorted(wb.__all__, key=lambda n: (n.lower(), n)):
        folder = wb._MODULE_OF[name].split(".")[1]
        groups[folder if folder in GROUPS else "runs"].append(name)
    contents = [f"- {GROUPS[group]}: {', '.join(map(_link, names))}" for group, names in groups.items()]
    parts = [HEAD, "\n".join(contents) + "\n"]
    for group, names in groups.items():
        parts.append(f"## {GROUPS[group]}\n")
        parts += [_entry(name, getattr(wb, name)) for name in names]
    return "\n".join(parts)


def _link(name: str) -> str:
    return f"[{name}](#{anchor(name)})"


def anchor(name: str) -> str:
    """What a heading is linked by: of two that differ in capitals only, the second has a number."""
    same = sorted(other for other in wb.__all__ if other.lower() == name.lower())
    return name.lower() + (f"-{same.index(name)}" if same.index(name) else "")


def _entry(name: str, thing: object) -> str:
    text = f"### {name}\n\n```\n{signature(thing, name)}\n```\n\n{markdown(inspect.getdoc(thing) or '')}\n"
    if isinstance(thing, type):
        for member, own in members(thing):
            if isinstance(own, property | cached_property):
                head = f"`.{member}`"
            else:
                function = own.__func__ if isinstance(own, classmethod | staticmethod) else own
                skip = 0 if isinstance(own, staticmethod) else 1
                head = f"`.{signature(function, member, skip=skip, width=10**6)}`"
            text += f"\n**{head}**\n\n{markdown(inspect.getdoc(own) or '')}\n"
    return text


def members(kind: type) -> Iterator[tuple[str, object]]:
    """Public methods and properties with a docstring, in the order of the source, those of our base classes too."""
    seen = set()
    for base in kind.__mro__:
        if not base.__module__.startswith("workbench"):
            continue
        for name, own in vars(base).items():
            usable = isinstance(own, FunctionType | classmethod | staticmethod | property | cached_property)
            if usable and name not in seen and not name.startswith("_") and inspect.getdoc(own):
                seen.add(name)
                yield name, own


def signature(thing: object, name: str, *, skip: int = 0, width: int = WIDTH) -> str:
    """Like ``tucker1(kernel: Tensor, *, rank_out: int) -> Tucker1``; types without their modules.

    Parameters
    ----------
    skip : parameters at the beginning that nobody gives: self.
    width : a longer one has a line for each parameter.
    """
    if isinstance(thing, type) and issubclass(thing, Exception):
        return f"{name}(ValueError)" if issubclass(thing, ValueError) else name
    found = inspect.signature(thing)  # type: ignore[arg-type]
    found = found.replace(parameters=list(found.parameters.values())[skip:])
    returns = "" if isinstance(thing, type) or found.return_annotation is inspect.Signature.empty else " -> "
    if returns:
        returns = _short(returns + inspect.formatannotation(found.return_annotation))
    given = [_short(part) for part in _parts(found)]
    line = f"{name}({', '.join(given)}){returns}"
    return line if len(line) <= width else f"{name}(\n" + "".join(f"    {one},\n" for one in given) + f"){returns}"


def _parts(found: inspect.Signature) -> Iterator[str]:
    """Each parameter as written, and the star before those that are given by name."""
    starred = False
    for one in found.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        yield str(one)


def _short(text: str) -> str:
    """Without modules, quotation marks and addresses: ``torch.Tensor`` is ``Tensor``."""
    text = re.sub(r"<(?:factory|(?:function|object) .*? at \w+)>", "...", text)
    text = re.sub(r"(: |-> )'([^']+)'", r"\1\2", text)  # types that are written before they are made
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", text)


def markdown(docstring: str) -> str:
    """A docstring of ours (numpydoc) as Markdown: sections in bold, what they name as lists, formulas as they are."""
    lines, out, section = docstring.splitlines(), [], ""
    i = 0
    while i < len(lines):
        line = lines[i]
        if i + 1 < len(lines) and line and re.fullmatch(r"-{3,}", lines[i + 1]):
            section = line
            out += [f"*{section}*", ""]
            i += 2
            continue
        if line.startswith((".. math::", ">>>")):
            block = [line]
            while i + 1 < len(lines) and lines[i + 1]:
                i += 1
                block.append(lines[i])
            formula = line.removeprefix(".. math:: ")
            out += ["```math", formula, *block[1:], "```"] if formula != line else ["```", *block, "```"]
        elif not line:
            out.append("")
            section = section if _goes_on(lines, i, section) else ""
        elif section in LISTS and not line.startswith(" "):
            what, colon, about = line.partition(" : ")
            out.append(f"- **{what}**: {about}" if colon else f"- {line}")
        else:
            out.append(("  " + line.strip()) if section in LISTS else line)
        i += 1
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", "\n".join(out).strip())
    return re.sub(r"``([^`\n]+)``", r"`\1`", text)


def _goes_on(lines: list[str], blank: int, section: str) -> bool:
    """Whether a list goes on after an empty line."""
    following = lines[blank + 1] if blank + 1 < len(lines) else ""
    return section in LISTS and (following.startswith(" ") or " : " in following)


def with_terms(page: str) -> str:
    """A page with the table of terms between its marks."""
    before, rest = page.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    lines = ["| word | what it means |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in sorted(TERMS.items(), key=lambda item: item[0].lower())]
    return before + MARKS[0] + "\n".join(lines) + "\n\n" + MARKS[1] + after


def pages() -> dict[Path, str]:
    """Each page as it should be."""
    users = FOLDER / "users.md"
    return {FOLDER / "api.md": reference(), users: with_terms(users.read_text(encoding="utf-8"))}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
