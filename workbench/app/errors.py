"""Turn exceptions into sentences for the page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

# The folders before the last name of an absolute path
FOLDERS = re.compile(r"(?<![\w./:<])/(?:[^\s/'\"<>]+/)+(?=[^\s/'\"<>])|\b[A-Za-z]:\\(?:[^\s\\'\"]+\\)+")


def sentence(error: BaseException) -> str:
    """Return the message of an error as one sentence, without folders of the machine, which others need not see."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, OSError) and error.strerror:
        name = PurePath(str(error.filename)).name if error.filename else ""
        text = f"{name}: {error.strerror}" if name else error.strerror
    text = "".join(filter(str.isprintable, " ".join(text.split())))
    text = FOLDERS.sub("", text) or type(error).__name__
    first = text.split()[0]  # the name of a file or a network keeps its case
    text = text if set(first[:-1]) & set("._0123456789") else text[0].upper() + text[1:]
    return text + ("" if text.endswith((".", "!", "?")) else ".")


@contextmanager
def naming(path: Path | None, name: str) -> Iterator[None]:
    """Have errors call an uploaded file or folder, if there is one, what the user calls it."""
    try:
        yield
    except ValueError as error:
        if path is None:
            raise
        own = f"{re.escape(str(path))}|{re.escape(path.name)}"
        raise ValueError(re.sub(own, lambda _: name, str(error))) from None
