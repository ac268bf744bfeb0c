"""Networks that the built-in engine runs."""

from __future__ import annotations

import os
import warnings
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from ._arrays import as_pictures
from ._fooling import NativeModel

ModelLike = Union[str, "os.PathLike[str]", "Model"]


class Model:
    """An ONNX network, scored by the built-in exact engine: the same bits on every machine.

    Args:
        path: The path of an ONNX file or of its model card (TOML), or the name of a built-in model (``"lenet"``). What neither
            the file nor a card says is assumed, with a warning.

    Raises:
        ValueError: the file is damaged or missing, or the engine does not support a layer.

    A model is callable, so it can score a run: ``fooling.evolve(fooling.Model("lenet"), ...)``. ``evolve(model="lenet")`` is
    a little faster.
    """

    #: Equal pictures always have equal scores, to the last bit.
    exact = True

    def __init__(self, path: Union[str, "os.PathLike[str]"]) -> None:
        path = os.fspath(path)
        # A run may be resumed from another folder.
        self._native = NativeModel(os.path.abspath(path) if os.path.exists(path) else path)
        for assumption in self.assumptions:
            warnings.warn(f"{path}: assumed: {assumption}", UserWarning, stacklevel=2)

    @property
    def name(self) -> str:
        """The name of the model."""
        return self._native.name

    @property
    def version(self) -> str:
        """SHA-256 of the ONNX file, in hexadecimal."""
        return self._native.digest

    @property
    def engine(self) -> str:
        """What computes the scores, with its version."""
        return self._native.engine

    @property
    def labels(self) -> list[str]:
        """The name of each class."""
        return self._native.labels

    @property
    def assumptions(self) -> list[str]:
        """What neither the ONNX file nor a card says, one sentence each."""
        return self._native.assumptions

    @property
    def picture(self) -> tuple[int, int, int]:
        """Height, width and channels of the pictures that the network is given."""
        return self._native.picture

    def score(self, pictures: Any, *, threads: Optional[int] = None) -> npt.NDArray[np.float32]:
        """Scores pictures.

        Args:
            pictures: uint8, (N, side, side, channels) or, for grey pictures, (N, side, side). Another size or number of
                channels than the network's is converted.
            threads: The number of threads; all cores if None. It does not change a bit.

        Returns:
            Probabilities, float32, (N, classes); NaN for a picture for which the network returned no probabilities.
        """
        return self._native.score(as_pictures(pictures), threads)

    __call__ = score

    def __repr__(self) -> str:
        return f"<fooling.Model {self.name}: {len(self.labels)} classes, pictures {self.picture}, {self.engine}>"


def as_model(model: ModelLike) -> Model:
    """A model from its path or name, or itself."""
    return model if isinstance(model, Model) else Model(model)


def score(model: ModelLike, pictures: Any, *, threads: Optional[int] = None) -> npt.NDArray[np.float32]:
    """Scores pictures with a network; :meth:`Model.score` of a model that is loaded for this call.

    Args:
        model: A :class:`Model`, the path of an ONNX file or model card, or the name of a built-in model. Loading takes
            milliseconds or more, so make a :class:`Model` once if you call this often.
        pictures: uint8, (N, side, side, channels) or (N, side, side).
        threads: The number of threads; all cores if None.

    Returns:
        Probabilities, float32, (N, classes).
    """
    return as_model(model).score(pictures, threads=threads)
