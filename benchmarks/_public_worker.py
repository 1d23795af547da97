"""Run EVBMF of musco-pytorch and Tucker of tensorly in an environment of their own, without the workbench.

Reads one JSON line a job, ``{"kernel": path of an .npy file, "ranks": [out, in]}``, and answers with one:
``{"seconds", "ranks", "core", "factors"}``, the arrays as paths beside the kernel.
"""

import importlib.util
import json
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
from tensorly.decomposition import partial_tucker

VBMF = Path(sysconfig.get_paths()["purelib"]) / "musco/pytorch/compressor/rank_selection/vbmf.py"


def main() -> None:
    """Answer each line of the input."""
    # By its path: the package's __init__ imports old packages that EVBMF does not need.
    spec = importlib.util.spec_from_file_location("vbmf", VBMF)
    vbmf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vbmf)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        kernel = np.load(job["kernel"])
        out, in_ = job["ranks"]
        started = time.perf_counter()
        ranks = []
        for mode in (0, 1):
            matrix = np.moveaxis(kernel, mode, 0).reshape(kernel.shape[mode], -1)
            # It requires rows <= columns.
            matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
            _, diagonal, _, _ = vbmf.EVBMF(matrix)
            ranks.append(int(diagonal.shape[0]))
        (core, factors), _ = partial_tucker(kernel, rank=[out, in_], modes=[0, 1])
        seconds = time.perf_counter() - started
        paths = [f"{job['kernel']}.{i}.npy" for i in range(3)]
        for path, array in zip(paths, (core, *factors), strict=True):
            np.save(path, array)
        print(json.dumps({"seconds": seconds, "ranks": ranks, "core": paths[0], "factors": paths[1:]}), flush=True)


if __name__ == "__main__":
    main()
