"""A network as a picture: its layers as blocks, placed by a layered layout, as SVG."""
