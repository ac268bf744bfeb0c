"""Evolves pictures that a classifier is sure about and a person is not.

    import fooling

    run = fooling.evolve(score, classes=10, picture=(28, 28, 1), generations=200, seed=1, out="runs/mine")
    run.pictures      # uint8, (classes, 28, 28, 1)
    run.confidences   # float32, (classes,)

``score`` is any callable: it receives an array of pictures, uint8 with the shape (N, height, width, channels), and returns
an array of probabilities with the shape (N, classes). MAP-Elites keeps the picture with the highest confidence for each
class. The same seed and scores give the same run, whatever the machine and the number of threads.

``fooling.evolve(model="net.onnx")`` scores with the built-in engine instead. With :class:`Search`, you write the loop.
"""

from __future__ import annotations

from ._model import Model, score
from ._run import Ancestor, Replay, Run, open_run as open, render, replay
from ._search import Progress, Search, Stats
from ._evolve import evolve, resume
from ._ranks import RankError, on_ranks

__version__ = "0.1.0"
__all__ = [
    "Ancestor",
    "Model",
    "Progress",
    "RankError",
    "Replay",
    "Run",
    "Search",
    "Stats",
    "evolve",
    "on_ranks",
    "open",
    "render",
    "replay",
    "resume",
    "score",
]
