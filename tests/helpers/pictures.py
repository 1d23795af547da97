"""Pictures in files."""

import io

from PIL import Image


def png(color=(9, 9, 9), size=(40, 30)):
    """The content of a PNG file of one colour."""
    content = io.BytesIO()
    Image.new("RGB", size, color).save(content, "PNG")
    return content.getvalue()


def picture(path, color=(9, 9, 9), size=(40, 30)):
    """Write a picture of one colour, and the folders it is in; PNG, whatever it is called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(color, size))
    return path
