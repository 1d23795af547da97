"""Colours of all figures, after Okabe and Ito: colour-blind readers tell them apart, and each has 3:1 on white.

Shapes or positions repeat what colours tell.
"""

BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#C98500", "#009E73", "#B84A00", "#B8609A"
SKY = "#56B4E9"
GREY, EDGE, SLATE, INK = "#C3CAD3", "#7B8794", "#52606D", "#1F2933"
DARK_RED = "#A33F00"
"""Vermillion for small text."""
GRID = "#E4E9F0"
VEILED_BLUE = "#9EC9E2"
"""Blue under the veil of the spectrum."""
KIND_MARKS = {
    "dense": ("circle", BLUE),
    "core": ("square", GREEN),
    "1x1": ("triangle-up", VERMILLION),
    "linear": ("diamond", PURPLE),
}
"""Kind of a part of a profile -> symbol (plotly's name) and colour."""
FACTOR_COLORS = (BLUE, ORANGE, GREEN)
"""First factor, core, last factor."""
ARROW_COLORS = (SLATE, *FACTOR_COLORS)
"""The dense convolution, and the three that replace it."""
BLOCK_SHADES = {"map": (GREY, GRID, "#AEB7C2"), "rank": ("#CC79A7", "#E8BFD6", "#A85A85")}
"""Kind of a block -> colours of its front, top and side."""
DARK = {
    **{BLUE: "#56B4E9", ORANGE: "#E69F00", GREEN: "#00A678", VERMILLION: "#E8713A", PURPLE: "#CC6FA8", SKY: "#F0E442"},
    **{GREY: "#6B7986", EDGE: "#8694A2", SLATE: "#D5DCE3", INK: "#E6EBF0", GRID: "#303B46"},
    **{"white": "#1B232C", VEILED_BLUE: "#315A74"},
}
"""Colour of a figure -> colour on a dark page; other colours stay as they are."""
