"""Recover decomposed networks: calibrate, distil and fine-tune them, with and without labels.

Each case is a function in a module of its own, ``benchmarks/_recovery_*.py``, which says how its settings were chosen;
scored images are never used to calibrate, to plan or to choose.
"""

import torch

from benchmarks import _recovery_auto, _recovery_digits, _recovery_forecast, _recovery_images, _recovery_resnet20
from benchmarks._recovery_googlenet import googlenet
from benchmarks._report import parser, report

CASES = {
    "googlenet": googlenet,
    "resnet20": _recovery_resnet20.run,
    "digits": _recovery_digits.run,
    "images": _recovery_images.run,
    "auto": _recovery_auto.run,
    "forecast": _recovery_forecast.run,
}
"""Name -> function of (folder with the shared data, minutes of training) that returns the results."""

PARTS = {"plans": str, "choices": int, "distilled": str, "networks": str, "counts": int, "ratios": str, "labels": str}
"""Option that selects a part of a case -> type of its values; the cases say which options they have."""


def main() -> None:
    """Run one case."""
    arguments = parser(__doc__, shared="real weights and images")
    arguments.add_argument("--case", choices=sorted(CASES), default="googlenet")
    arguments.add_argument("--minutes", type=float, default=15.0, help="of distillation or fine-tuning, for each plan")
    arguments.add_argument("--threads", type=int, default=2)
    for name, kind in PARTS.items():
        arguments.add_argument(f"--{name}", type=kind, nargs="+", help="run only these")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    parts = {name: getattr(options, name) for name in PARTS if getattr(options, name)}
    results = CASES[options.case](options.shared, options.minutes, **parts)
    results["threads"] = options.threads
    report(results, options.json)


if __name__ == "__main__":
    main()
