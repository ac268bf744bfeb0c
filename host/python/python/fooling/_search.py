"""Ask and tell, for callers that have their own loop."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt

from ._arrays import as_scores
from ._fooling import NativeSearch
from ._run import Path, Run


class Progress(NamedTuple):
    """The progress of a run after a generation."""

    generation: int
    """The generation that has just been recorded; 0 for the initial batch."""
    generations: int
    """The last generation."""
    pictures: int
    """Pictures scored since this process started or resumed the run."""
    refused: int
    """Pictures among them whose scores were not probabilities."""
    seconds: float
    """Time since then."""
    filled: int
    """Cells that have an elite."""
    median: float
    """Median confidence over the cells, in [0, 1]; an empty cell counts as 0."""
    lowest: float
    """Lowest confidence."""
    highest: float
    """Highest confidence."""
    at_99: int
    """Cells at 99 % or more."""


class Stats(NamedTuple):
    """The state of the archive, in the words of pyribs' ``ArchiveStats``."""

    num_elites: int
    """Cells that have an elite."""
    coverage: float
    """The part of all cells that have one, in [0, 1]."""
    qd_score: float
    """The sum of the elites' confidences."""
    obj_max: Optional[float]
    """The highest confidence; None if all cells are empty."""
    obj_mean: Optional[float]
    """The mean confidence of the elites; None if all cells are empty."""


def names_of(classes: Union[int, Sequence[str]]) -> list[str]:
    """The names of the classes, given their number or their names."""
    if isinstance(classes, (int, np.integer)):
        return [str(number) for number in range(int(classes))]
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise TypeError("classes must be their number or their names, for example 10 or ['cat', 'dog']; `only` selects some of them")
    return list(classes)


def shape_of(picture: Sequence[int]) -> tuple[int, int]:
    """Side and channels of a picture, from its shape."""
    shape = tuple(picture)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or not all(isinstance(size, (int, np.integer)) and size > 0 for size in shape):
        raise ValueError(f"picture must be (height, width, channels) in pixels, for example (28, 28, 1), not {picture!r}")
    height, width, channels = (int(size) for size in shape)
    if height != width:
        raise ValueError(f"pictures are square, but {height} x {width} was asked for; evolve a square and resize it in `score`")
    if channels not in (1, 3):
        raise ValueError(f"pictures have 1 channel (grey) or 3 (red, green, blue), not {channels}")
    return height, channels


class Search:
    """A run whose pictures you score: MAP-Elites with one cell for each class, or a single-objective EA for one class.

    ::

        with fooling.Search(classes=10, picture=(28, 28, 1), name="mine", version="1", seed=1) as search:
            while not search.done:
                search.tell(score(search.ask()))
            run = search.finish()

    Every generation is recorded in the run folder as soon as it is told, so a run that stops can be resumed with
    :meth:`Search.resume`. The vocabulary is that of pyribs: ask, tell, elites, coverage, QD score. Unlike there, asking again
    before telling gives the same pictures.

    Args:
        classes: The number of classes, or their names in the order of the scores.
        picture: Height, width and channels (1 or 3) of a picture. Pictures are square.
        name: What scores the pictures, for the provenance of the run.
        version: Its version, or anything else that changes when its scores do.
        seed: Equal seeds and scores give equal runs.
        generations: Generations after the initial batch, after which :attr:`done` is true.
        out: The run folder, which must not contain a run; a new folder under ``runs`` if None.
        output: What the scores are: "probabilities", "logits", "log-probabilities" or "sigmoid" (each class by itself).
        threads: Threads that draw pictures; all cores if None. They do not change a bit.
        skip_repeated: Leave out pictures that are byte for byte an elite's: they could take no cell. Only if equal pictures always
            have equal scores, to the last bit. A generation may then have no pictures.
        config: Any other field of run.toml's ``[config]``: encoding, variant, target, only, batch, initial, coordinates,
            activations, max_nodes, max_links, eta, halving, rates.

    Raises:
        ValueError: an argument is invalid.
        FileExistsError: the folder contains a run.
    """

    def __init__(
        self,
        *,
        classes: Union[int, Sequence[str]],
        picture: Sequence[int],
        name: str,
        version: str,
        seed: int = 1,
        generations: int = 200,
        out: Optional[Path] = None,
        output: str = "probabilities",
        threads: Optional[int] = None,
        skip_repeated: bool = False,
        **config: Any,
    ) -> None:
        if config.get("crops") is not None:
            raise TypeError("crops: only for a model; crop the pictures before you score them")
        side, channels = shape_of(picture)
        labels = names_of(classes)
        fields = config_fields(seed=seed, generations=generations, **config)
        out = None if out is None else os.fspath(out)
        self._native = NativeSearch.create(fields, side, channels, name, version, labels, output, out, threads, skip_repeated)

    @classmethod
    def resume(
        cls,
        directory: Path,
        *,
        name: str,
        version: str,
        generations: Optional[int] = None,
        threads: Optional[int] = None,
        skip_repeated: bool = False,
    ) -> Search:
        """Resumes a run. Name and version must be those of the run; ``generations`` may extend it.

        Raises:
            RuntimeError: another scorer made the run, or its journal is damaged.
        """
        search = cls.__new__(cls)
        search._native = NativeSearch.resume(os.fspath(directory), name, version, generations, threads, skip_repeated)
        return search

    @property
    def dir(self) -> str:
        """The folder of the run."""
        return os.fspath(self._native.dir)

    @property
    def generation(self) -> int:
        """The generation whose pictures are asked for next; 0 for the initial batch."""
        return self._native.generation

    @property
    def generations(self) -> int:
        """The last generation. Asking and telling may continue after it."""
        return self._native.generations

    @property
    def done(self) -> bool:
        """Whether all generations are recorded."""
        return self._native.done

    @property
    def batch_size(self) -> int:
        """The number of pictures in this generation; once asked for, without those that ``skip_repeated`` leaves out."""
        return self._native.batch_size

    @property
    def confidences(self) -> npt.NDArray[np.float32]:
        """The best score of each cell so far: float32, (cells,). NaN for an empty cell."""
        return self._native.confidences

    @property
    def stats(self) -> Stats:
        """The state of the archive."""
        scores = self.confidences
        held = scores[~np.isnan(scores)].astype(np.float64)
        total = float(held.sum())
        best, mean = (float(held.max()), total / len(held)) if len(held) else (None, None)
        return Stats(len(held), len(held) / len(scores), total, best, mean)

    def ask(self) -> npt.NDArray[np.uint8]:
        """The pictures of this generation: uint8, (batch_size, height, width, channels). The array is yours."""
        return self._native.ask()

    def tell(self, scores: Any) -> Progress:
        """Takes the scores of the pictures that were asked for, and starts the next generation.

        Args:
            scores: (batch_size, classes), float32 or float64 in the order of the pictures: a NumPy array, a PyTorch tensor, or
                anything with ``__array__`` or ``__dlpack__``. Scores are rounded to float32. A picture whose scores are NaN or
                do not sum to 1 takes no cell; a warning says so once.

        Raises:
            ValueError: the shape is wrong, or no picture of the first generation has valid scores. Nothing has changed then.
        """
        native = self._native
        return Progress(**native.tell(as_scores(scores, native.batch_size, native.classes)))

    def finish(self) -> Run:
        """Ends the search, and writes the pictures, the contact sheet and the figures into its folder."""
        return Run(self._native.finish())

    def close(self) -> None:
        """Ends the search without writing pictures. What is recorded can be resumed; a folder with nothing recorded is removed."""
        self._native.abandon()

    def __enter__(self) -> Search:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


#: The options of `Search` and `evolve` that belong to the run configuration, with their names in run.toml.
FIELDS = {
    "seed": "seed",
    "generations": "generations",
    "encoding": "encoding",
    "variant": "variant",
    "target": "target",
    "only": "classes",
    "batch": "batch",
    "initial": "initial",
    "coordinates": "coordinates",
    "activations": "activations",
    "max_nodes": "max_nodes",
    "max_links": "max_links",
    "eta": "eta",
    "halving": "halving",
    "rates": "rates",
    "crops": "crops",
}


def config_fields(**config: Any) -> str:
    """The fields of a run configuration as JSON."""
    unknown = sorted(set(config) - set(FIELDS))
    if unknown:
        raise TypeError(f"unknown option {', '.join(unknown)} (known: {', '.join(FIELDS)})")
    if config.get("target") is not None and config.get("only") is not None:
        raise ValueError("target and only cannot be combined: target evolves one class with the single-objective EA")
    fields = {FIELDS[name]: plain(value) for name, value in config.items() if value is not None}
    return json.dumps(fields)


def plain(value: Any) -> Any:
    """A value for JSON: NumPy numbers and arrays, ranges and tuples become numbers and lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(item) for item in value]
    return value
