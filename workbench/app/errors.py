"""Turn exceptions into sentences for the page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

# The folders of an absolute path, without its last name
FOLDERS = re.compile(r"(?<![\w./:<])/(?:[^\s/'\"<>]+/)+(?=[^\s/'\"<>])|\b[A-Za-z]:\\(?:[^\s\\'\"]+\\)+")


def sentence(error: BaseException) -> str:
    """Return an error's message as one sentence, without the folders of paths, which users need not see."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, OSError) and error.strerror:
        name = PurePath(str(error.filename)).name if error.filename else ""
        text = f"{name}: {error.strerror}" if name else error.strerror
    text = "".join(filter(str.isprintable, " ".join(text.split())))
    text = FOLDERS.sub("", text) or type(error).__name__
    first_word = text.split()[0]  # the name of a file or a network keeps its case
    text = text if set(first_word[:-1]) & set("._0123456789") else text[0].upper() + text[1:]
    return text + ("" if text.endswith((".", "!", "?")) else ".")


@contextmanager
def naming(path: Path | None, name: str) -> Iterator[None]:
    """Replace the path of an uploaded file or folder by the user's name for it in the messages of errors."""
    try:
        yield
    except ValueError as error:
        if path is None:
            raise
        path_pattern = f"{re.escape(str(path))}|{re.escape(path.name)}"
        raise ValueError(re.sub(path_pattern, lambda _: name, str(error))) from None
