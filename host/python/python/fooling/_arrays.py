"""What a scorer returns, as the array that the native half takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def as_array(scores: Any) -> npt.NDArray[Any]:
    """Scores as a NumPy array: from NumPy, PyTorch (of any device), and anything with ``__array__`` or ``__dlpack__``."""
    if isinstance(scores, np.ndarray):
        return scores
    # A PyTorch tensor may need gradients or be on a GPU. Neither may stop its numbers from being read.
    if hasattr(scores, "detach") and hasattr(scores, "cpu"):
        scores = scores.detach().cpu()
        if "bfloat16" in str(getattr(scores, "dtype", "")):
            scores = scores.float()
    if not hasattr(scores, "__array__") and hasattr(scores, "__dlpack__"):
        return np.from_dlpack(scores)
    return np.asarray(scores)


def as_scores(scores: Any, pictures: int, classes: int) -> npt.NDArray[np.float32]:
    """Scores as float32 with the shape (pictures, classes), or a clear error."""
    array = as_array(scores)
    if array.shape != (pictures, classes):
        raise ValueError(
            f"the scores have the shape {array.shape}, but must have ({pictures}, {classes}): "
            f"a probability for each of {pictures} pictures and {classes} classes"
        )
    if array.dtype.kind not in "fiu":
        raise TypeError(f"the scores are {array.dtype}, but must be numbers: float32 or float64")
    return np.ascontiguousarray(array, dtype=np.float32)


def as_pictures(pictures: Any) -> npt.NDArray[np.uint8]:
    """Pictures as uint8 with the shape (N, side, side, channels). One grey channel may be omitted."""
    array = as_array(pictures)
    if array.dtype != np.uint8:
        raise TypeError(f"the pictures are {array.dtype}, but must be uint8 (0 to 255)")
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4:
        raise ValueError(f"the pictures have the shape {array.shape}, but must have (N, side, side, channels)")
    return np.ascontiguousarray(array)
