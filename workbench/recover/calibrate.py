r"""Recovery without labels and without gradients: every layer is fitted again to the outputs it had.

In forward order, each layer's factors W (of the planned ranks) and bias b are chosen anew to minimise

.. math:: \sum \| r(y) - r(W x' + b) \|^2 + \rho \|W - K\|^2,

where x' is what the layer sees in the *compressed* network, whose earlier layers are fitted already, y what the layer
answered in the *original* network, K the dense kernel and r the ReLU behind the layer, if one is. So each layer also
makes up for the errors before it. Sums run over all positions of all images; only second moments are kept.

- Linear part: reduced-rank regression in closed form, for Tucker-2 in turns with the input factor
  (:mod:`workbench.kernels.regression`), from the layer's patch covariance.
- ReLU: where y <= 0, any answer <= 0 is as good. Each round takes min(answer, 0) as the wanted output there and fits
  again, which never raises the error (majorisation).
- rho is chosen for each layer by predicting one half of the images from the other.
- A batch norm behind a layer without a bias takes over the fitted intercept. Its variance stays: the fitted outputs
  vary less, by what the factors cannot explain, and scaling that up again made ResNet-20 worse (divergence from the
  original on held-out training images 0.45 instead of 0.41). Behind a layer that cannot be fitted, mean and variance
  move by what those of the same images moved, which a few images tell well.

References: Zhang, Zou, He, Sun, *Accelerating very deep convolutional networks for classification and detection*,
TPAMI 2016, sec. 3 (asymmetric reconstruction; their ReLU relaxation is exact in the limit); Izenman 1975.
"""

import copy
from collections.abc import Callable
from dataclasses import replace

import torch

from workbench.network.activations import Walk
from workbench.network.data import evaluating
from workbench.network.inputs import Inputs, inputs_of
from workbench.network.network import Network, expect_network
from workbench.plan.plan import LayerPlan, PlanError
from workbench.recover.balance import balance
from workbench.recover.decompose import check_fit
from workbench.recover.refit import Refit

ROUNDS = 3
"""How often the answers behind a ReLU are taken as wanted outputs where that costs nothing."""


def calibrate(
    smaller: Network,
    network: Network,
    images: Inputs,
    *,
    views: int = 1,
    rounds: int = ROUNDS,
    kept: bool = True,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Network:
    """Fit every layer of a decomposed network to the original's outputs on unlabelled images.

    Parameters
    ----------
    smaller, network : the decomposed network and the one it was made from; neither is changed.
    images : a Split, whose labels are never looked at, or batches of inputs as the model takes them. From 16 on it
        helps, hundreds are better.
    views : how many crops and mirror images of each image of a Split to use, where images are larger than the input
        (:class:`~workbench.network.inputs.Views`).
    rounds : fits after the first that take the ReLU into account; 0 for the linear outputs alone.
    kept : whether layers that were not decomposed are fitted to their changed inputs too.
    progress : called with (share done, layer name) before each layer.
    cancelled : asked before each batch; if it says True, the layers so far are fitted and the rest is as it was.

    Returns
    -------
    Network with the same plan and shapes, its factors balanced
    (:func:`~workbench.recover.balance.balance`), so that training can go on from it.

    Raises
    ------
    ValueError : if there are no images, or of another shape.
    PlanError : if `smaller` has no plan, or one for another network.
    """
    expect_network(smaller)
    expect_network(network)
    if smaller.plan is None:
        raise PlanError(f"{smaller.name} was not decomposed: there is nothing to calibrate")
    check_fit(network, smaller.plan)
    batches = inputs_of(network, images, views)
    model = copy.deepcopy(smaller.model)
    parts = [part for part in smaller.plan if kept or part.decision != "keep"]
    done = 0
    with evaluating(network.model), evaluating(model), torch.no_grad():
        walk = Walk(model, network.model, batches)
        for part in sorted(parts, key=lambda part: walk.place(part.name)):
            if progress:
                progress(done / max(1, len(parts)), part.name)
            if cancelled() or not _fit_layer(walk, part, rounds, cancelled):
                break
            done += 1
    if progress:
        progress(1.0, "")
    # balanced, because the first gradient steps on fitted factors would ruin them
    return balance(replace(smaller, model=model, source=f"{smaller.source}; calibrated"))


def _fit_layer(walk: Walk, part: LayerPlan, rounds: int, cancelled: Callable[[], bool]) -> bool:
    """Fit one layer of the smaller network in place, and the norm behind it; False if it was cancelled before."""
    original, made = (walk.models[side].get_submodule(part.name) for side in ("original", "smaller"))
    problem = Refit.of(part, original, made, walk.norm_after(part.name) is not None)
    if problem is None:
        return _move_norm(walk, part.name, cancelled)
    for given, wanted in walk.pairs(part.name):
        if cancelled():
            return False
        problem.see(given, wanted)
    problem.solve()
    for _ in range(rounds if walk.rectified(part.name) else 0):
        problem.forget_outputs()
        for given, wanted in walk.pairs(part.name):
            if cancelled():
                return False
            problem.see(given, torch.where(wanted > 0, wanted, made(given).clamp(max=0)), again=True)
        problem.solve()
    norm = walk.norm_after(part.name)
    if norm is not None and problem.shift is not None:
        mean = walk.models["smaller"].get_buffer(f"{norm}.running_mean")
        mean -= problem.shift.to(mean)
    return True


def _move_norm(walk: Walk, name: str, cancelled: Callable[[], bool]) -> bool:
    """Move the statistics of the batch norm behind a layer that is not fitted; False if cancelled."""
    behind = walk.norm_after(name)
    norm = walk.models["smaller"].get_submodule(behind) if behind is not None else None
    mean, variance = (getattr(norm, which, None) for which in ("running_mean", "running_var"))
    if not isinstance(mean, torch.Tensor) or not isinstance(variance, torch.Tensor):
        return True
    layer = walk.models["smaller"].get_submodule(name)
    sums = torch.zeros(2, 2, len(mean), dtype=torch.float64)  # (now, before) x (values, squares)
    n = 0
    for given, wanted in walk.pairs(name):
        if cancelled():
            return False
        for side, values in enumerate((layer(given), wanted)):
            flat = values.double().transpose(0, 1).flatten(1).cpu()
            sums[side] += torch.stack([flat.sum(1), flat.square().sum(1)])
        n += wanted.numel() // len(mean)
    means = sums[:, 0] / n
    now, before = (sums[:, 1] / n - means.square()).clamp(min=0)
    mean += (means[0] - means[1]).to(mean)
    alive = before > 1e-12 * before.max().clamp(min=1e-30)
    variance *= torch.where(alive, now / before, 1.0).to(variance)
    return True
