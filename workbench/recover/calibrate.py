r"""Calibrate a compressed network: fit every layer to the original layer's outputs, without labels and gradients.

In forward order, each layer's factors W (of the planned ranks) and bias b are fitted to minimise

.. math:: \sum \| r(y) - r(W x' + b) \|^2 + \rho \|W - K\|^2,

where x' is the layer's input in the *compressed* network, whose earlier layers are fitted already, y the layer's output
in the *original* network, K the dense kernel and r the ReLU after the layer, if there is one. So each layer also
corrects the errors before it. Sums run over all positions of all images; only second moments are stored.

- Linear part: reduced-rank regression in closed form from the layer's patch covariance, for Tucker-2 in turns with the
  input factor (:mod:`workbench.kernels.regression`).
- ReLU: where y <= 0, any output <= 0 is as good. Each round takes min(output, 0) as the target there and fits again,
  which never raises the error (majorisation). The second round first extrapolates the output by its last change, which
  makes two rounds about as good as three.
- rho is chosen for each layer by predicting one half of the images from the other; the search starts at the previous
  layer's rho.
- A batch norm after a layer without a bias absorbs the fitted intercept. Its variance stays: the fitted outputs lack
  the variance that the factors cannot explain, and scaling them up again made ResNet-20 worse (divergence from the
  original on held-out training images 0.45 instead of 0.41). After a layer that cannot be fitted, running mean and
  variance change as those of the calibration images do, which a few images estimate well.

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
"""Number of images to calibrate with: more are slower and hardly better."""
RELU_ROUNDS = 2
"""Number of fits that take the ReLU into account."""


def calibrate(
    compressed: CompressedNetwork, images: Images, *, rounds: int = RELU_ROUNDS, progress: Progress | bool | None = None
) -> CompressedNetwork:
    """Fit every layer of a compressed network, kept ones too, to the original's outputs on unlabelled images.

    Parameters
    ----------
    images : as the data hold them (before preprocessing); labels are ignored. 16 help already, hundreds are better.
    rounds : number of further fits that take the ReLU into account; 0 to fit the linear outputs only.
    progress : called before each layer and batch; raising `Cancelled` ends the calibration without a result.

    Returns
    -------
    CompressedNetwork with balanced factors (see :func:`balance`), ready for training.

    Raises
    ------
    ValueError : if there are no images, or their shape does not fit.
    """
    expect_compressed(compressed)
    original, report = compressed.original, reporter(progress)
    batches = inputs_of(original, images)
    model = copy_model(compressed.model)
    with torch.no_grad():
        activations = PairedActivations(model, original.model, batches)
        parts = sorted(compressed.plan, key=lambda part: activations.place(part.name))
        ridge = START_RIDGE
        for i, part in enumerate(parts):
            check = partial(report, i / len(parts), part.name)
            check()
            ridge = _fit_layer(activations, part, rounds, ridge, check)
    report(1.0, "")
    source = f"{compressed.source}; calibrated"
    return balance(compressed.with_model(model, source=source, fitted=True, history=()))


def _fit_layer(
    activations: PairedActivations, part: LayerPlan, rounds: int, ridge: float, check: Callable[[], None]
) -> float:
    """Fit one layer of the compressed network and the norm after it in place, and return the chosen ridge.

    The search for the ridge starts at `ridge`. `check` is called before each batch.
    """
    original, layer = (activations.models[side].get_submodule(part.name) for side in ("original", "compressed"))
    norm_name = activations.norm_after(part.name)
    problem = Refit.of(part, original, layer, norm_name is not None)
    if problem is None:
        _correct_norm(activations, part.name, check)
        return ridge
    problem.ridge = ridge
    for fit in range(1 + rounds if activations.rectified(part.name) else 1):
        problem.reset_outputs()
        for batch, (inputs, targets) in enumerate(activations.pairs(part.name)):
            check()
            problem.add(batch, inputs, targets, layer(inputs) if fit else None)
        problem.solve()
    if norm_name is not None and problem.shift is not None:
        mean = activations.models["compressed"].get_buffer(f"{norm_name}.running_mean")
        mean -= problem.shift.to(mean)
    return problem.ridge


def _correct_norm(activations: PairedActivations, name: str, check: Callable[[], None]) -> None:
    """Correct the statistics of the batch norm after a layer that is not fitted."""
    norm_name = activations.norm_after(name)
    norm = activations.models["compressed"].get_submodule(norm_name) if norm_name is not None else None
    mean, variance = (getattr(norm, statistic, None) for statistic in ("running_mean", "running_var"))
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        return
    layer = activations.models["compressed"].get_submodule(name)
    sums = torch.zeros(2, 2, len(mean), dtype=torch.float64)  # (new, old) x (values, squares)
    count = 0
    for inputs, targets in activations.pairs(name):
        check()
        for row, outputs in enumerate((layer(inputs), targets)):
            channels = outputs.double().transpose(0, 1).flatten(1).cpu()
            sums[row] += torch.stack([channels.sum(1), channels.square().sum(1)])
        count += targets.numel() // len(mean)
    means = sums[:, 0] / count
    new_variance, old_variance = (sums[:, 1] / count - means.square()).clamp(min=0)
    mean += (means[0] - means[1]).to(mean)
    is_live = old_variance > 1e-12 * old_variance.max().clamp(min=1e-30)
    variance *= torch.where(is_live, new_variance / old_variance, 1.0).to(variance)


def balance(network: CompressedNetwork) -> CompressedNetwork:
    """Return the network with balanced factors; every layer's output stays the same, up to rounding.

    The outer factors become orthogonal (by a QR decomposition, whose triangle multiplies the core), then all factors of
    a layer are scaled to the same Frobenius norm. The columns of factors fitted to data differ widely in norm, and the
    first gradient steps on such factors would destroy the network.

    Raises
    ------
    TypeError : if the network is not compressed.
    """
    expect_compressed(network)
    model = copy_model(network.model)
    with torch.no_grad():
        for part in network.plan:
            if part.decision != "keep":
                shape = part.layer.shape
                balance_factors(model.get_submodule(part.name), groups=shape.groups, transposed=shape.transposed)
    return network.with_model(model)


def balance_factors(factors: nn.Module, *, groups: int = 1, transposed: bool = False) -> None:
    """Balance one layer's ``factor_in`` (if any), ``core`` and ``factor_out`` in place, group by group."""
    weights = {name: module.get_parameter("weight") for name, module in factors.named_children() if name in FACTORS}
    balanced: dict[str, list[Tensor]] = {name: [] for name in weights}
    for group_weights in zip(*(weight.double().chunk(groups) for weight in weights.values()), strict=True):
        parts = dict(zip(weights, group_weights, strict=True))
        core = parts["core"].transpose(0, 1) if transposed else parts["core"]  # (rank_out, rank_in, ...)
        outer, triangle = torch.linalg.qr(parts["factor_out"].flatten(1))
        core = torch.einsum("ab,b...->a...", triangle, core)
        if "factor_in" in parts:
            inner, triangle = torch.linalg.qr(parts["factor_in"].flatten(1).mT)
            core = torch.einsum("ab,cb...->ca...", triangle, core)
            balanced["factor_in"].append(inner.mT)
        balanced["core"].append(core.transpose(0, 1) if transposed else core)
        balanced["factor_out"].append(outer)
    result = {name: torch.cat(tensors) for name, tensors in balanced.items()}
    norms = torch.stack([torch.linalg.vector_norm(value) for value in result.values()])
    common_norm = norms.log().mean().exp()  # 0 for a layer of zeros, which stays as it is
    for (name, value), norm in zip(result.items(), norms, strict=True):
        weights[name].copy_((value * (common_norm / norm) if common_norm else value).reshape(weights[name].shape))
