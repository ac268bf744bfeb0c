"""Runs: finished ones, and the recorded part of others."""

from __future__ import annotations

import base64
import json
import os
import warnings
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _fooling

Path = Union[str, "os.PathLike[str]"]


class Ancestor(NamedTuple):
    """A former or present elite in a lineage."""

    generation: int
    """The generation in which it was born."""
    child: int
    """Its number in that generation."""
    cell: int
    """Of the cells that it took, the one where it scored highest."""
    score: float
    """Its score for that cell, in [0, 1]."""
    picture: npt.NDArray[np.uint8]
    """Its picture: uint8, (height, width, channels)."""


class Run:
    """A run, rebuilt from its journal: no network is needed, and the pictures are the evolved ones, bit for bit.

    Arrays have one entry for each cell. Without ``only`` and ``target``, there is one cell for each class, in the order of
    the classes. In a notebook, a run shows its contact sheet.
    """

    def __init__(self, directory: Path, *, _compare: bool = False) -> None:
        self.dir: str = os.fspath(directory)
        """The folder of the run."""
        self._data = _fooling.rebuild(self.dir, _compare)
        if self._data["warning"]:
            warnings.warn(f"{self.dir}: {self._data['warning']}", UserWarning, stacklevel=3)

    @property
    def pictures(self) -> npt.NDArray[np.uint8]:
        """The elites' pictures: uint8, (cells, height, width, channels). An empty cell has a black picture."""
        return self._data["pictures"]

    @property
    def confidences(self) -> npt.NDArray[np.float32]:
        """The elites' scores in [0, 1]: float32, (cells,). NaN for an empty cell."""
        return self._data["confidences"]

    @property
    def genomes(self) -> list[Optional[str]]:
        """The elites' CPPNs, as JSON for :func:`render`; None for an empty cell and for the direct encoding, where the picture
        is the genome."""
        return self._data["genomes"]

    @property
    def births(self) -> npt.NDArray[np.int64]:
        """The generation in which each elite was born: (cells,). -1 for an empty cell."""
        return self._data["births"]

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """The number of each cell's class: (cells,)."""
        return self._data["classes"]

    @property
    def labels(self) -> list[str]:
        """The name of each cell's class."""
        return self._data["labels"]

    @property
    def generation(self) -> Optional[int]:
        """The last recorded generation; None if nothing is recorded."""
        return self._data["generation"]

    @property
    def curve(self) -> npt.NDArray[Any]:
        """Confidence over the cells after each generation: a structured array with the fields generation, filled, median,
        lowest, highest, at_50, at_90, at_99 and at_9999 (cells at that per cent). ``pandas.DataFrame(run.curve)`` works."""
        names, values = _fooling.curve(self.dir)
        real = ("median", "lowest", "highest")
        table = np.empty(len(values), dtype=[(name, np.float64 if name in real else np.int64) for name in names])
        for column, name in enumerate(names):
            table[name] = values[:, column]
        return table

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of the run, as in summary.json, except those of speed. ``decisions_digest`` is equal for equal runs."""
        summary: Optional[dict[str, Any]] = json.loads(self._data["summary"])
        speed = ("seconds", "images_per_second", "shares")
        return {name: value for name, value in (summary or {}).items() if name not in speed}

    @property
    def config(self) -> dict[str, Any]:
        """The run configuration, as in run.toml."""
        config: dict[str, Any] = json.loads(self._data["config"])
        return config

    @property
    def provenance(self) -> dict[str, Any]:
        """What made the scores: the scorer's name and version, or the network and the engine."""
        provenance: dict[str, Any] = json.loads(self._data["provenance"])
        return provenance

    @property
    def sheet(self) -> bytes:
        """The contact sheet as a PNG file: the pictures with class and confidence; the 100 most confident if there are more."""
        return self._data["sheet"]

    def lineage(self, cell: int, most: int = 12) -> list[Ancestor]:
        """The elite of a cell and its ancestors, oldest first.

        Args:
            cell: The number of the cell.
            most: At most this many, at least 2, evenly spaced.

        Returns:
            The ancestors; none if the cell is empty.
        """
        if not 0 <= cell < len(self.labels):
            raise IndexError(f"there is no cell {cell}: the run has cells 0 to {len(self.labels) - 1}")
        if most < 2:
            raise ValueError(f"a lineage shows at least 2 ancestors, not {most}")
        return [Ancestor(*ancestor) for ancestor in _fooling.lineage(self.dir, cell, most)]

    def __repr__(self) -> str:
        filled = np.count_nonzero(~np.isnan(self.confidences))
        median = float(np.median(np.nan_to_num(self.confidences)))
        return f"<fooling.Run {self.dir}: generation {self.generation}, {filled} of {len(self.labels)} cells, median {median:.4f}>"

    def _repr_html_(self) -> str:
        image = base64.b64encode(self.sheet).decode()
        return f'<img alt="contact sheet of {len(self.labels)} cells" src="data:image/png;base64,{image}">'


class Replay(NamedTuple):
    """What :func:`replay` found."""

    run: Run
    """The run, rebuilt from its journal."""
    differences: list[str]
    """Stored pictures that are missing or differ from the journal: path and how."""

    @property
    def same(self) -> bool:
        """Whether every stored picture is as the journal says, and there is at least one."""
        return not self.differences and bool(np.any(~np.isnan(self.run.confidences)))


def open_run(directory: Path) -> Run:
    """Opens a run, of this package or of the program ``fooling``, also while it is evolving.

    Raises:
        FileNotFoundError: there is no run in the folder.
        RuntimeError: its journal or run.toml is damaged.
    """
    return Run(directory)


def replay(directory: Path) -> Replay:
    """Rebuilds every elite of a run from its journal, and compares it with the stored picture."""
    run = Run(directory, _compare=True)
    return Replay(run, run._data["differences"])


def render(genome: Union[str, dict[str, Any]], size: Optional[int] = None) -> npt.NDArray[np.uint8]:
    """Draws a CPPN genome.

    Args:
        genome: A genome of :attr:`Run.genomes` or a line of a genome file, as text or parsed.
        size: Width and height in pixels, 1 to 4096; as evolved if None. A CPPN that was evolved with pixel coordinates (the
            default) draws another picture at another size; ``picture.repeat(8, 0).repeat(8, 1)`` enlarges the same picture.

    Returns:
        uint8, (size, size, channels).
    """
    text = genome if isinstance(genome, str) else json.dumps(genome)
    if size is not None and not 1 <= size <= 65535:
        raise ValueError(f"a size of {size} pixels is not between 1 and 4096")
    return _fooling.render(text, size)
