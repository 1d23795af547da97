import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.plan.allocation import Candidates, allocate


def options(seed, layers=3, candidates=6, costs=3):
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(layers):
        cost = chance.integers(1, 100, (candidates, costs)).astype(float)
        cost[0] = 100  # as it is: dearest, no error
        error = np.concatenate([[0.0], chance.random(candidates - 1)])
        found.append(Candidates(cost, error, np.zeros((candidates, 2), dtype=np.int64)))
    return found


def summed(layers, picks):
    """Cost and error of a choice of candidates."""
    pairs = list(zip(layers, picks, strict=True))
    return sum(o.cost[i] for o, i in pairs), sum(o.error[i] for o, i in pairs)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 1.0), st.sampled_from([(0,), (1,), (2,), (0, 2), (0, 1, 2)]))
def test_what_is_allocated_fits_and_none_on_its_own_budget_is_better(seed, share, limited):
    layers = options(seed)
    limit = np.full(3, np.inf)
    limit[list(limited)] = 300 * share
    picks = allocate(layers, limit, np.full(3, 300.0))
    combinations = list(itertools.product(*(range(len(o.error)) for o in layers)))
    totals, errors = (np.array(sums) for sums in zip(*(summed(layers, c) for c in combinations), strict=True))
    if picks is None:
        assert len(limited) > 1 or not (totals <= limit).all(axis=1).any()
        return
    cost, error = summed(layers, picks)
    assert (cost <= limit).all()
    if len(limited) == 1:  # on the hull of one cost, what was picked is optimal for what it spends
        which = limited[0]
        assert error <= errors[totals[:, which] <= cost[which]].min() + 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_a_larger_budget_never_has_a_larger_error(seed):
    layers = options(seed, layers=5, candidates=9)
    errors = []
    for share in (0.3, 0.5, 0.7, 0.9, 1.0):
        limit = np.array([500 * share, np.inf, 500 * share])
        picks = allocate(layers, limit, np.full(3, 500.0))
        if picks is not None:
            errors.append(summed(layers, picks)[1])
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0
