"""Whole runs: evolve and resume."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import numpy as np

from . import _fooling
from ._model import ModelLike, as_model
from ._run import Path, Run
from ._search import Progress, Search, config_fields

Score = Callable[[Any], Any]
Watch = Union[bool, None, Callable[[Progress], object]]


def evolve(
    score: Optional[Score] = None,
    *,
    model: Optional[ModelLike] = None,
    classes: Union[int, Sequence[str], None] = None,
    picture: Optional[Sequence[int]] = None,
    generations: int = 200,
    seed: int = 1,
    out: Optional[Path] = None,
    name: Optional[str] = None,
    version: Optional[str] = None,
    output: str = "probabilities",
    only: Optional[Sequence[int]] = None,
    target: Optional[int] = None,
    encoding: str = "cppn",
    variant: str = "paper",
    batch: Optional[int] = None,
    initial: Optional[int] = None,
    coordinates: Optional[str] = None,
    rates: Optional[dict[str, float]] = None,
    activations: Optional[Sequence[str]] = None,
    max_nodes: Optional[int] = None,
    max_links: Optional[int] = None,
    eta: Optional[int] = None,
    halving: Optional[int] = None,
    crops: Optional[str] = None,
    threads: Optional[int] = None,
    skip_repeated: Optional[bool] = None,
    progress: Watch = None,
) -> Run:
    """Evolves a picture for each class of a classifier.

    Either ``score`` or ``model`` is the classifier.

    Args:
        score: A callable. It receives the pictures of a generation at once, in the calling thread: a uint8 array with the shape
            (N, height, width, channels), rows from top to bottom, channels red, green, blue. It returns the probabilities:
            (N, classes), float32 or float64, as a NumPy array, a PyTorch tensor, or anything with ``__array__`` or
            ``__dlpack__``. They must depend on the picture alone, not on its neighbours or on chance: otherwise a resumed run
            is not the same run.
        model: A :class:`Model`, the path of an ONNX file or model card, or the name of a built-in model, scored by the engine.
        classes: For ``score``: the number of classes, or their names in the order of the scores.
        picture: For ``score``: height, width and channels (1 or 3) of a picture. Pictures are square.
        generations: Generations after the initial batch.
        seed: 0 to 2**64 - 1. Equal seeds and scores give equal runs.
        out: The run folder, which must not contain a run; a new folder under ``runs`` if None.
        name: For ``score``: what scores, for the provenance of the run; the callable's own name if None.
        version: For ``score``: its version, or anything else that changes when its scores do (a digest of its weights). A run
            is resumed only with the same name and version. "unknown" if None.
        output: For ``score``: what the scores are: "probabilities", "logits" (their softmax is computed), "log-probabilities"
            or "sigmoid" (each class by itself).
        only: Evolve these classes only, by number.
        target: Evolve this class only, with the single-objective EA.
        encoding: "cppn" (regular pictures) or "direct" (one gene for each pixel).
        variant: "paper", or "released" for the program that its authors released.
        batch: Pictures in each generation; 200 for grey and 400 for colour pictures if None.
        initial: Pictures in the initial batch; as ``batch`` if None.
        coordinates: "pixel" (fine, repeated texture) or "unit" (smooth pictures): what a CPPN sees.
        rates: Mutation rates in [0, 1] to change: weight, activation, add_link, remove_link, add_node, remove_node, gene.
        activations: Out of "sine", "sigmoid", "gaussian" and "linear".
        max_nodes: Largest number of nodes of a CPPN.
        max_links: Largest number of links of a CPPN.
        eta: Distribution index of polynomial mutation.
        halving: Generations after which the mutation rate of the direct encoding halves; 0 for never.
        crops: For ``model``: "whole", "centre" or "ten"; the part of the picture that the network sees.
        threads: Threads that draw (and, with ``model``, score); all cores if None. They do not change a bit.
        skip_repeated: For ``score``: do not score a picture that is byte for byte an elite's, because it could take no cell. This saves
            a few per cent of the scores, but is right only if equal pictures always have equal scores, to the last bit. If None, only
            for a :class:`Model`, whose scores do.
        progress: True for a tqdm bar (lines of text where tqdm is not installed), or a callable that receives a
            :class:`Progress` after each generation.

    Returns:
        The run.

    Raises:
        ValueError: an argument is invalid, or no picture of the first generation has valid scores.
        FileExistsError: the folder contains a run.
        Exception: whatever ``score`` or ``progress`` raises, KeyboardInterrupt included. What was recorded before can be
            resumed; if nothing was, the new folder is removed.
    """
    options: dict[str, Any] = dict(
        generations=generations,
        seed=seed,
        only=only,
        target=target,
        encoding=encoding,
        variant=variant,
        batch=batch,
        initial=initial,
        coordinates=coordinates,
        rates=rates,
        activations=activations,
        max_nodes=max_nodes,
        max_links=max_links,
        eta=eta,
        halving=halving,
        crops=crops,
    )
    if (score is None) == (model is None):
        raise TypeError("give either score (a callable) or model (an ONNX file)")
    if model is not None:
        unused = {"classes": classes, "picture": picture, "name": name, "version": version}
        given = [what for what, value in unused.items() if value is not None]
        if given or output != "probabilities":
            raise TypeError(f"{', '.join(given or ['output'])}: only for a callable; the model says it (only= selects classes)")
        native = as_model(model)._native
        folder = None if out is None else os.fspath(out)
        with ProgressDisplay(progress) as watch:
            return Run(native.evolve(config_fields(**options), folder, threads, watch.native()))
    assert score is not None
    if classes is None or picture is None:
        raise TypeError("a callable needs classes and picture, for example classes=10, picture=(28, 28, 1)")
    search = Search(
        classes=classes,
        picture=picture,
        name=name or name_of(score),
        version=version or version_of(score),
        out=out,
        output=output,
        threads=threads,
        skip_repeated=exact(score) if skip_repeated is None else skip_repeated,
        **options,
    )
    return loop(search, score, progress)


def resume(
    directory: Path,
    score: Optional[Score] = None,
    *,
    model: Optional[Path] = None,
    name: Optional[str] = None,
    version: Optional[str] = None,
    generations: Optional[int] = None,
    threads: Optional[int] = None,
    skip_repeated: Optional[bool] = None,
    progress: Watch = None,
) -> Run:
    """Continues a run that was stopped, or extends a finished one. It ends exactly as if it had never been stopped.

    Args:
        directory: The run folder.
        score: The callable that scored the run, if one did.
        model: Where the network of the run is now, if the engine scored it and its file has moved.
        name: As given to :func:`evolve`.
        version: As given to :func:`evolve`.
        generations: The new number of generations; as before if None.
        threads: As for :func:`evolve`.
        skip_repeated: As for :func:`evolve`.
        progress: As for :func:`evolve`.

    Raises:
        FileNotFoundError: there is no run in the folder.
        RuntimeError: another scorer or network made the run, or its journal is damaged.
    """
    if score is not None and model is not None:
        raise TypeError("give score or model, not both")
    if score is None:
        with ProgressDisplay(progress) as watch:
            path = None if model is None else os.path.abspath(model) if os.path.exists(model) else os.fspath(model)
            _fooling.resume_model(os.fspath(directory), path, generations, threads, watch.native())
        return Run(directory)
    search = Search.resume(
        directory,
        name=name or name_of(score),
        version=version or version_of(score),
        generations=generations,
        threads=threads,
        skip_repeated=exact(score) if skip_repeated is None else skip_repeated,
    )
    return loop(search, score, progress)


def loop(search: Search, score: Score, progress: Watch) -> Run:
    """Asks, scores and tells until the run is done."""
    with search, ProgressDisplay(progress) as watch:
        while not search.done:
            pictures = search.ask()
            # All pictures of a generation may be repeated ones. A framework may not take an empty array.
            scores = score(pictures) if len(pictures) else np.empty((0, search._native.classes), np.float32)
            watch(search.tell(scores))
        return search.finish()


def exact(score: Score) -> bool:
    """Whether a callable says that equal pictures always have equal scores, to the last bit."""
    return getattr(score, "exact", False) is True


def name_of(score: Score) -> str:
    """The name of a callable for the provenance."""
    name = getattr(score, "name", None) or getattr(score, "__qualname__", None) or type(score).__qualname__
    return str(name)


def version_of(score: Score) -> str:
    """The version of a callable, if it states one."""
    version = getattr(score, "version", None)
    return version if isinstance(version, str) and version else "unknown"


class ProgressDisplay:
    """Shows the progress of a run, and removes the bar at the end."""

    def __init__(self, progress: Watch) -> None:
        self.call: Optional[Callable[[Progress], object]] = None
        self.bar: Any = None
        if callable(progress):
            self.call = progress
        elif progress:
            try:
                from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]
            except ImportError:
                self.call = Lines()
            else:
                self.bar = tqdm(unit="generation")
                self.call = self.advance

    def advance(self, now: Progress) -> None:
        self.bar.total = now.generations + 1
        self.bar.update(now.generation + 1 - self.bar.n)
        self.bar.set_postfix_str(f"median {now.median:.2%}, {now.at_99} cells at 99 %", refresh=False)

    def native(self) -> Optional[Callable[[dict[str, Any]], object]]:
        """The callback for the native loop; None if there is no progress to show."""
        call = self.call
        return None if call is None else lambda now: call(Progress(**now))

    def __call__(self, now: Progress) -> None:
        if self.call is not None:
            self.call(now)

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


class Lines:
    """Progress as lines of text on stderr, at most one in five seconds, and one at the end."""

    def __init__(self) -> None:
        self.due = 0.0

    def __call__(self, now: Progress) -> None:
        if time.monotonic() >= self.due or now.generation >= now.generations:
            self.due = time.monotonic() + 5
            text = f"generation {now.generation} of {now.generations}, median {now.median:.2%}, {now.at_99} cells at 99 %"
            print(text, file=sys.stderr)
