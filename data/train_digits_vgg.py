"""Train the bundled network: ``.venv/bin/python data/train_digits_vgg.py`` writes the checkpoint and its card.

Images are augmented by small shifts, rotations and scalings. The last epoch is taken, and the test split is scored
once, at the end. It uses one thread, so that a rerun on the same kind of machine gives the same file.
"""

import argparse
import hashlib
import json
import math
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

import workbench as wb
from workbench.catalog.datasets.digits import CLASSES
from workbench.catalog.networks.classics import digits_vgg
from workbench.catalog.networks.load import BUNDLED
from workbench.files import write_atomically


def jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift by up to a pixel, rotate by up to 12 degrees, scale by up to 10 %."""
    n = len(images)
    angle, scale, dx, dy = (torch.rand(4, n, generator=generator) * 2 - 1) * torch.tensor(
        [[math.radians(12)], [0.1], [2 / 8], [2 / 8]]
    )
    cos, sin = (1 + scale) * angle.cos(), (1 + scale) * angle.sin()
    theta = torch.stack([torch.stack([cos, -sin, dx], 1), torch.stack([sin, cos, dy], 1)], 1)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--weight-decay", type=float, default=1e-2)
    parser.add_argument("--out", type=Path, default=BUNDLED / "digits_vgg.safetensors")
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    data = wb.load_data("digits")
    model = digits_vgg()

    def network() -> wb.Network:
        return wb.Network(model, input_shape=(1, 8, 8), name="digits_vgg", classes=CLASSES)

    size = 50
    optimizer = torch.optim.SGD(
        model.parameters(), lr=args.learning_rate, momentum=0.9, nesterov=True, weight_decay=args.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.learning_rate, epochs=args.epochs, steps_per_epoch=math.ceil(len(data.train) / size)
    )
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for piece in torch.randperm(len(data.train), generator=generator).split(size):
            images, labels = data.train.images[piece], data.train.labels[piece]
            loss = loss_of(model(jitter(images, generator)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(labels)
        if (epoch + 1) % 5 == 0:
            validation = wb.score(network(), data.validation)
            print(f"epoch {epoch + 1}: loss {total / len(data.train):.4f}, validation {validation}", flush=True)
    model.eval()
    scores = {s.name: round(100 * wb.score(network(), s).top1, 2) for s in (data.validation, data.test)}
    content = save({k: v.contiguous() for k, v in model.state_dict().items()})
    card = {
        "name": "digits_vgg",
        "what": "six convolutions with batch norm, two fully connected layers; see catalog/networks/classics.py",
        "trained_on": "scikit-learn digits: 1,000 of 1,797 scans (297 validation, 500 test), jittered",
        "script": f"data/{Path(__file__).name}",
        "settings": {k: v for k, v in vars(args).items() if k != "out"},
        "top1_percent": scores,
        "weights": network().weights,
        "torch": torch.__version__.split("+")[0],
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write_atomically(args.out, content)
    write_atomically(args.out.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
