"""Trains a small convolutional network with PyTorch, and evolves a picture for each digit that it is sure about.

    pip install ./host/python torch scikit-learn
    python host/python/examples/pytorch_digits.py [folder]

It takes about a minute on two cores.
"""

from __future__ import annotations

import hashlib
import sys

import fooling
import torch
from sklearn.datasets import load_digits
from torch import nn

SIDE = 32


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * (SIDE // 4) ** 2, 10),
    )  # fmt: skip


def train(net: nn.Module) -> float:
    """Trains on the digits of scikit-learn, enlarged from 8 x 8 pixels; returns the accuracy on the last 297."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    images = nn.functional.interpolate(images, (SIDE, SIDE), mode="bilinear")
    labels = torch.tensor(labels)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(10):
        for batch in torch.randperm(1500).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        return (net(images[1500:]).argmax(1) == labels[1500:]).float().mean().item()


def digest(net: nn.Module) -> str:
    """A digest of the weights."""
    weights = b"".join(parameter.detach().numpy().tobytes() for parameter in net.parameters())
    return hashlib.sha256(weights).hexdigest()[:16]


def scores_of(net: nn.Module):
    """A callable that scores pictures by a network."""
    # Dropout and batch normalisation must not depend on the other pictures of a batch.
    net.eval()

    @torch.inference_mode()
    def score(pictures):  # uint8 (N, 32, 32, 1)
        batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        return net(batch).softmax(dim=1)  # a tensor is taken as it is

    return score


def evolve(score, net: nn.Module) -> fooling.Run:
    """A run with this callable, whose provenance names the weights of the network."""
    return fooling.evolve(
        score,
        classes=10,
        picture=(SIDE, SIDE, 1),
        generations=100,
        name="digits in PyTorch",
        version=digest(net),
        out=sys.argv[1] if len(sys.argv) > 1 else None,
        progress=True,
    )


def main() -> None:
    torch.manual_seed(0)
    net = network()
    print(f"accuracy on unseen digits: {train(net):.1%}")
    run = evolve(scores_of(net), net)
    print(run)
    print("confidence:", {digit: f"{confidence:.2%}" for digit, confidence in zip(run.labels, run.confidences)})
    print(f"the contact sheet: {run.dir}/sheet.png")


if __name__ == "__main__":
    main()
