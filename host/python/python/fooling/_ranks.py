"""One run that many MPI processes score, each with a callable of its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Optional, TypeVar

import numpy as np
import numpy.typing as npt

from ._arrays import as_array
from ._evolve import Score, exact, name_of, version_of

T = TypeVar("T")

#: Scores of the same picture on two ranks may differ by this much: rounding, but not another network.
TOLERANCE = 1e-3


class RankError(RuntimeError):
    """Another rank failed, or scores pictures otherwise than rank 0."""


def on_ranks(job: Callable[[Score], T], score: Score, comm: Any = None) -> Optional[T]:
    """Runs a job on rank 0 whose pictures all ranks score, each with its own callable.

    All ranks call it, under ``mpirun`` or ``srun`` with mpi4py::

        run = fooling.on_ranks(lambda score: fooling.evolve(score, classes=10, picture=(28, 28, 1), out="runs/mine"), mine)

    Rank 0 draws the pictures, sends each rank an equal share, and records the run; the other ranks only score. If the scores depend
    on the picture alone, the run is the same for any number of ranks. The first time, all ranks also score the same picture; a rank
    whose scores are others ends the job before anything is recorded.

    Args:
        job: What rank 0 does: :func:`evolve`, :func:`resume` or a loop of yours. It receives a callable that scores with all ranks.
        score: The callable of this rank, as for :func:`evolve`.
        comm: A communicator of mpi4py; ``MPI.COMM_WORLD`` if None. Only objects are sent, so its lowercase methods are enough.

    Returns:
        On rank 0 what ``job`` returns; None on the others.

    Raises:
        RankError: on rank 0, if another rank failed or has another network; on the other ranks, if ``job`` failed on rank 0.
        Exception: whatever ``score`` or ``job`` raises on this rank.
    """
    if comm is None:
        from mpi4py import MPI  # type: ignore[import-not-found,unused-ignore]

        comm = MPI.COMM_WORLD
    if comm.Get_rank() > 0:
        serve(score, comm)
        return None
    spread = Spread(score, comm)
    failed = True
    try:
        result = job(spread)
        failed = False
        return result
    finally:
        # Also after an exception: the others wait.
        spread.dismiss(failed)


class Spread:
    """Scores with all ranks. Rank 0 calls it."""

    def __init__(self, score: Score, comm: Any) -> None:
        self.score, self.comm = score, comm
        self.compared = False
        #: Ranks that have failed no longer listen.
        self.listening = list(range(1, comm.Get_size()))
        # For the provenance of the run.
        self.name, self.version, self.exact = name_of(score), version_of(score), exact(score)

    def __call__(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        if not self.compared:
            self.compare(pictures[:1])
            self.compared = True
        # The first shares are the largest; with fewer pictures than ranks, the last ones are empty.
        own, *shares = np.array_split(pictures, self.comm.Get_size())
        return np.concatenate([scores for scores in self.each(own, shares) if len(scores)])

    def each(self, own: npt.NDArray[np.uint8], shares: list[npt.NDArray[np.uint8]]) -> list[npt.NDArray[Any]]:
        """The scores of each rank for its pictures."""
        for rank, share in enumerate(shares, start=1):
            self.comm.send(share, dest=rank)
        scores, error = attempt(self.score, own)
        # The others have scored at the same time. Their answers are taken even if this rank failed: they have sent them.
        answers = [self.comm.recv(source=rank) for rank in range(1, self.comm.Get_size())]
        failed = {rank: answer for rank, answer in enumerate(answers, start=1) if isinstance(answer, str)}
        self.listening = [rank for rank in self.listening if rank not in failed]
        if error is not None:
            raise error
        if failed:
            raise RankError("; ".join(f"rank {rank} {problem}" for rank, problem in failed.items()))
        return [scores, *answers]

    def compare(self, picture: npt.NDArray[np.uint8]) -> None:
        """All ranks must score a picture alike."""
        own, *others = self.each(picture, [picture] * (self.comm.Get_size() - 1))
        for rank, scores in enumerate(others, start=1):
            if scores.shape != own.shape:
                raise RankError(f"rank {rank} returns scores with the shape {scores.shape}, but rank 0 with {own.shape}")
            wide = np.float64(own)
            # NaN on both is equal; the run says what is wrong with it.
            different = ~np.isclose(scores, wide, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True).ravel()
            if different.any():
                at = int(different.argmax())
                here, there = wide.ravel()[at], scores.ravel()[at]
                raise RankError(
                    f"rank {rank} has another network than rank 0: for the same picture its score of class {at} is {there:.6g}, on rank 0 "
                    f"{here:.6g}; load the same weights on all ranks, and put networks into evaluation mode"
                )

    def dismiss(self, failed: bool) -> None:
        """Ends :func:`serve` on the other ranks."""
        for rank in self.listening:
            self.comm.send("failed" if failed else None, dest=rank)
        self.listening = []


def serve(score: Score, comm: Any) -> None:
    """Scores what rank 0 sends until it ends."""
    while True:
        share = comm.recv(source=0)
        if share is None:
            return
        if isinstance(share, str):
            raise RankError("the job failed on rank 0, which says why")
        scores, error = attempt(score, share)
        if error is not None:
            comm.send(f"({socket.gethostname()}) failed: {type(error).__name__}: {error}", dest=0)
            raise error
        comm.send(scores, dest=0)


def attempt(score: Score, pictures: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], Optional[BaseException]]:
    """The scores of some pictures, or why there are none."""
    nothing = np.empty((0, 0), np.float32)
    try:
        scores = as_array(score(pictures)) if len(pictures) else None
    except BaseException as error:  # Ctrl-C too: the other ranks must not wait for ever.
        return nothing, error
    if scores is None:
        return nothing, None
    if scores.ndim != 2 or len(scores) != len(pictures):
        shape = f"the scores have the shape {scores.shape}, but must have ({len(pictures)}, classes)"
        return nothing, ValueError(f"{shape}: a probability for each of {len(pictures)} pictures and each class")
    return scores, None
