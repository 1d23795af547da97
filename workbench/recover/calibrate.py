r"""Calibrate a compressed network: fit every layer again to the outputs it had, without labels and gradients.

In forward order, each layer's factors W (of the planned ranks) and bias b are chosen anew to minimise

.. math:: \sum \| r(y) - r(W x' + b) \|^2 + \rho \|W - K\|^2,

where x' is what the layer sees in the *compressed* network, whose earlier layers are fitted already, y what the layer
answered in the *original* network, K the dense kernel and r the ReLU behind the layer, if one is. So each layer also
makes up for the errors before it. Sums run over all positions of all images; only second moments are kept.

- Linear part: reduced-rank regression in closed form, for Tucker-2 in turns with the input factor
  (:mod:`workbench.kernels.regression`), from the layer's patch covariance.
- ReLU: where y <= 0, any answer <= 0 is as good. Each round takes min(answer, 0) as the wanted output there and fits
  again, which never raises the error (majorisation). In the second round the answer is first carried on by its last
  change, after which two rounds are about as good as three.
- rho is chosen for each layer by predicting one half of the images from the other; the search begins at the layer
  before's.
- A batch norm behind a layer without a bias takes over the fitted intercept. Its variance stays: the fitted outputs
  vary less, by what the factors cannot explain, and scaling that up again made ResNet-20 worse (divergence from the
  original on held-out training images 0.45 instead of 0.41). Behind a layer that cannot be fitted, mean and variance
  move by what those of the same images moved, which a few images tell well.

References: Zhang, Zou, He, Sun, *Accelerating very deep convolutional networks for classification and detection*,
TPAMI 2016, sec. 3 (asymmetric reconstruction; their ReLU relaxation is exact in the limit); Izenman 1975; Beck and
Teboulle, *A fast iterative shrinkage-thresholding algorithm*, SIAM J. Imaging Sciences 2009 (the momentum).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from workbench.kernels.regression import START_RIDGE
from workbench.network.activations import PairedActivations
from workbench.network.inputs import Images, inputs_of
from workbench.network.network import copy_model
from workbench.plan.compressed import CompressedNetwork, expect_compressed
from workbench.plan.plan import LayerPlan
from workbench.progress import Progress, reporter
from workbench.recover.refit import Refit

FACTORS = ("factor_in", "core", "factor_out")
CALIBRATION_IMAGES = 200
"""Images to calibrate with: more are slower and hardly better."""
RELU_ROUNDS = 2
"""Number of fits in which answers below zero behind a ReLU are taken as wanted outputs."""


def calibrate(
    compressed: CompressedNetwork, images: Images, *, rounds: int = RELU_ROUNDS, progress: Progress | bool | None = None
) -> CompressedNetwork:
    """Fit every layer of a compressed network, kept ones too, to the original's outputs on unlabelled images.

    Parameters
    ----------
    images : as the data hold them; labels are not looked at. From 16 on it helps, hundreds are better.
    rounds : fits after the first that take the ReLU into account; 0 for only the linear outputs.
    progress : called before each layer and batch; raising `Cancelled` ends the calibration without a result.

    Returns
    -------
    CompressedNetwork with balanced factors, so that training can go on from it.

    Raises
    ------
    ValueError : if there are no images, or of another shape.
    """
    expect_compressed(compressed)
    original, report = compressed.original, reporter(progress)
    batches = inputs_of(original, images)
    model = copy_model(compressed.model)
    with torch.no_grad():
        activations = PairedActivations(model, original.model, batches)
        parts = sorted(compressed.plan, key=lambda part: activations.place(part.name))
        ridge = START_RIDGE
        for done, part in enumerate(parts):
            check = partial(report, done / len(parts), part.name)
            check()
            ridge = _fit_layer(activations, part, rounds, ridge, check)
    report(1.0, "")
    # balanced, because the first gradient steps on fitted factors would ruin them
    source = f"{compressed.source}; calibrated"
    return balance(compressed.with_model(model, source=source, fitted=True, history=()))


def _fit_layer(
    activations: PairedActivations, part: LayerPlan, rounds: int, ridge: float, check: Callable[[], None]
) -> float:
    """Fit one layer of the compressed network in place, and the norm behind it; return the ridge that was chosen.

    The search for it begins at `ridge`. `check` is called before each batch.
    """
    original, made = (activations.models[side].get_submodule(part.name) for side in ("original", "compressed"))
    norm = activations.norm_after(part.name)
    problem = Refit.of(part, original, made, norm is not None)
    if problem is None:
        _move_norm(activations, part.name, check)
        return ridge
    problem.ridge = ridge
    for batch, (given, wanted) in enumerate(activations.pairs(part.name)):
        check()
        problem.add(batch, given, wanted)
    problem.solve()
    for _ in range(rounds if activations.rectified(part.name) else 0):
        problem.reset_outputs()
        for batch, (given, wanted) in enumerate(activations.pairs(part.name)):
            check()
            problem.add(batch, given, wanted, made(given))
        problem.solve()
    if norm is not None and problem.shift is not None:
        mean = activations.models["compressed"].get_buffer(f"{norm}.running_mean")
        mean -= problem.shift.to(mean)
    return problem.ridge


def _move_norm(activations: PairedActivations, name: str, check: Callable[[], None]) -> None:
    """Move the statistics of the batch norm behind a layer that is not fitted."""
    behind = activations.norm_after(name)
    norm = activations.models["compressed"].get_submodule(behind) if behind is not None else None
    mean, variance = (getattr(norm, which, None) for which in ("running_mean", "running_var"))
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        return
    layer = activations.models["compressed"].get_submodule(name)
    sums = torch.zeros(2, 2, len(mean), dtype=torch.float64)  # (now, before) x (values, squares)
    n = 0
    for given, wanted in activations.pairs(name):
        check()
        for side, values in enumerate((layer(given), wanted)):
            flat = values.double().transpose(0, 1).flatten(1).cpu()
            sums[side] += torch.stack([flat.sum(1), flat.square().sum(1)])
        n += wanted.numel() // len(mean)
    means = sums[:, 0] / n
    now, before = (sums[:, 1] / n - means.square()).clamp(min=0)
    mean += (means[0] - means[1]).to(mean)
    alive = before > 1e-12 * before.max().clamp(min=1e-30)
    variance *= torch.where(alive, now / before, 1.0).to(variance)


def balance(network: CompressedNetwork) -> CompressedNetwork:
    """Return the network with balanced factors; every layer's output stays the same, up to rounding.

    The outer factors become orthogonal (a QR decomposition, whose other part goes into the core), then all factors of
    a layer are scaled to the same Frobenius norm. Factors that were fitted to data differ a lot in the size of their
    columns, and the first gradient steps on such factors destroy a network.

    Raises
    ------
    TypeError : if the network was not compressed.
    """
    expect_compressed(network)
    model = copy_model(network.model)
    with torch.no_grad():
        for part in network.plan:
            if part.decision != "keep":
                layer = part.layer.shape
                balance_factors(model.get_submodule(part.name), groups=layer.groups, transposed=layer.transposed)
    return network.with_model(model)


def balance_factors(factors: nn.Module, *, groups: int = 1, transposed: bool = False) -> None:
    """Balance one layer's ``factor_in`` (if any), ``core`` and ``factor_out`` in place, group by group."""
    weights = {n: m.get_parameter("weight") for n, m in factors.named_children() if n in FACTORS}
    found: dict[str, list[Tensor]] = {name: [] for name in weights}
    for pieces in zip(*(weight.double().chunk(groups) for weight in weights.values()), strict=True):
        old = dict(zip(weights, pieces, strict=True))
        core = old["core"].transpose(0, 1) if transposed else old["core"]  # (rank_out, rank_in, ...)
        outer, triangle = torch.linalg.qr(old["factor_out"].flatten(1))
        core = torch.einsum("ab,b...->a...", triangle, core)
        if "factor_in" in old:
            inner, triangle = torch.linalg.qr(old["factor_in"].flatten(1).mT)
            core = torch.einsum("ab,cb...->ca...", triangle, core)
            found["factor_in"].append(inner.mT)
        found["core"].append(core.transpose(0, 1) if transposed else core)
        found["factor_out"].append(outer)
    values = {name: torch.cat(tensors) for name, tensors in found.items()}
    norms = torch.stack([torch.linalg.vector_norm(value) for value in values.values()])
    same = norms.log().mean().exp()  # 0 for a layer of zeros, which stays as it is
    for (name, value), norm in zip(values.items(), norms, strict=True):
        weights[name].copy_((value * (same / norm) if same else value).reshape(weights[name].shape))
