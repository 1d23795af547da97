"""Pictures in files, and archives of files."""

import hashlib
import io
import tarfile

from PIL import Image


def written(write, *given):
    """The content of a file, which a function writes after what it is given."""
    file = io.BytesIO()
    write(*given, file)
    return file.getvalue()


def png(color=(9, 9, 9), size=(40, 30)):
    """The content of a PNG file of one colour."""
    return written(lambda file: Image.new("RGB", size, color).save(file, "PNG"))


def picture(path, color=(9, 9, 9), size=(40, 30)):
    """Write a picture of one colour, and the folders it is in; PNG, whatever it is called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(color, size))
    return path


def tar(files):
    """The content of a .tar.gz of files: name -> content."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
