"""SVG drawing of a network: its layers as blocks in a layered layout."""
