"""Terms of the page and their explanations."""

from html import escape

RANDOM = " <em class='wb-chip'>random weights</em>"
TERMS = {
    "weights": "The numbers a network has learned. Fewer weights: a smaller file and less memory.",
    "MACs": "Multiply-adds for one image, the unit of work; the paper calls them FLOPs. Fewer MACs: less computing.",
    "accuracy": "Share of images to which the network's first answer is right.",
    "agreement": "Share of images to which the compressed network gives the same first answer as the original.",
    "forecast": "Share of images whose answer should stay the same after calibration, with the range to expect; "
    "computed before anything is compressed.",
    "validation": "Images used to choose between networks; never trained on.",
    "test": "Images used only to report how good a network is; never to train or to choose.",
    "EVBMF": "Empirical variational Bayesian matrix factorization: a statistical method that tells signal from noise "
    "in a layer's weights and so finds how many directions (the rank) it really uses.",
    "rank": "How many independent directions of a layer's channels are kept. Fewer: smaller and faster, less exact.",
    "singular values": "How strongly the layer uses each direction of its channels, strongest first.",
    "threshold": "EVBMF takes what lies below this line for noise.",
    "Tucker-2": "One convolution becomes three small ones: mix the input channels down, convolve, mix up again.",
    "Tucker-1": "One layer becomes two small ones: only the output channels are reduced.",
    "int8": "Whole numbers of 8 bits in place of numbers of 32: as little as a quarter of the size, and fast where "
    "the processor has instructions for them. What they round off may change some answers.",
    "kernel error": "How far the factorised layer's weights are from the original's: 0 % is the same, 100 % is nothing "
    "left. An upper limit, exact for Tucker-1.",
    "fine-tune": "Train the compressed network for a short while, so that its layers work together again.",
    "calibrate": "Refit each layer so that it gives what the original's layer gives on some images. No labels.",
    "from scratch": "The same small network, trained from random numbers instead of from the original's weights.",
    "Pareto front": "The networks that no other one beats in both accuracy and work.",
    "realised": "Speed-up divided by the ratio of multiply-adds: 100 % means as much faster as there is less work.",
    "energy": "Joules for one image. Where no counter is at hand it is an estimate from multiply-adds and memory.",
    "learning rate": "The size of a training step. Too large, and training is unstable; too small, and it is slow.",
    "epoch": "One pass over all training images.",
}


def term(name: str, text: str | None = None) -> str:
    """Return HTML of a term, with its explanation on hover and on keyboard focus."""
    explanation = escape(TERMS[name], quote=True)
    return f'<abbr class="wb-term" tabindex="0" title="{explanation}">{escape(text or name)}</abbr>'
