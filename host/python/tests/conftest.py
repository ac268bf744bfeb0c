"""Scorers and networks that several tests use."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import fooling

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="session")
def lenet() -> fooling.Model:
    return fooling.Model("lenet")


@pytest.fixture(scope="session")
def lenet_file() -> Path:
    return MODELS / "lenet.onnx"


@pytest.fixture(scope="session")
def program(lenet: fooling.Model, tmp_path_factory: pytest.TempPathFactory) -> fooling.Run:
    """A run as the program makes it: the engine scores, and no Python is involved."""
    return fooling.evolve(model=lenet, generations=30, seed=3, out=tmp_path_factory.mktemp("program") / "run")


def light(pictures: np.ndarray) -> np.ndarray:
    """Two classes: dark and light."""
    share = pictures.mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - share, share], axis=1)


@pytest.fixture
def small() -> dict[str, object]:
    """A run that takes a moment."""
    return dict(classes=2, picture=(16, 16, 1), generations=5, batch=20, name="light", version="1")


def digest(run: fooling.Run) -> str:
    return run.summary["decisions_digest"]
