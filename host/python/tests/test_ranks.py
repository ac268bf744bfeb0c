"""Runs whose pictures several processes score, each with a callable of its own."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import digest, light

import fooling

#: What each process runs. KIND says what is wrong with rank 1.
JOB = """
import sys
from mpi4py import MPI
import fooling

kind, out = sys.argv[1:]
rank, lenet, calls = MPI.COMM_WORLD.Get_rank(), fooling.Model("lenet"), [0]

def score(pictures):
    calls[0] += len(pictures)
    if rank == 1 and kind == "fails" and calls[0] > 1200:
        raise ValueError("the card is gone")
    if rank == 1 and kind == "differs":
        return lenet(255 - pictures)
    return lenet.score(pictures, threads=1)

def job(score):
    if kind == "resumes":
        return fooling.resume(out, score, name="lenet by ranks", version="1")
    return fooling.evolve(
        score, classes=10, picture=(28, 28, 1), generations=30, seed=3, name="lenet by ranks", version="1", out=out, threads=1
    )

run = fooling.on_ranks(job, score)
assert (run is None) == (rank > 0)
with open(f"{out}.{rank}", "w") as file:
    file.write(f"{calls[0]} of {MPI.COMM_WORLD.Get_size()} ranks")
"""


@pytest.fixture
def mpirun(tmp_path):
    """Runs the job on a number of ranks."""
    pytest.importorskip("mpi4py")
    launcher = shutil.which("mpirun")
    if not launcher:
        assert not os.environ.get("CI"), "CI installs openmpi-bin"
        pytest.skip("there is no mpirun")
    # mpirun refuses root, and more ranks than cores, unless it is told otherwise.
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    script = tmp_path / "job.py"
    script.write_text(JOB)

    def start(ranks: int, kind: str, out):
        command = [launcher, "--oversubscribe", "--bind-to", "none", "-n", str(ranks), sys.executable, str(script), kind, str(out)]
        return subprocess.run(command, env={**os.environ, **allowed}, capture_output=True, text=True, timeout=300)

    return start


def test_two_ranks_make_the_run_of_one_process(mpirun, program, tmp_path):
    done = mpirun(2, "works", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = fooling.open(tmp_path / "run")
    assert digest(run) == digest(program) and (run.pictures == program.pictures).all()
    # Half of 31 * 200 pictures each, and the one that is compared.
    assert [(tmp_path / f"run.{rank}").read_text() for rank in (0, 1)] == ["3101 of 2 ranks"] * 2


def test_a_rank_that_fails_is_named_and_the_run_resumes(mpirun, program, tmp_path):
    out = tmp_path / "run"
    done = mpirun(3, "fails", out)
    assert done.returncode != 0 and "the card is gone" in done.stderr
    assert "RankError: rank 1 (" in done.stderr and ") failed: ValueError: the card is gone" in done.stderr
    # Rank 1 scores 67 pictures of each generation.
    assert fooling.open(out).generation == 16
    done = mpirun(2, "resumes", out)
    assert done.returncode == 0, done.stderr
    assert digest(fooling.open(out)) == digest(program)


def test_a_rank_with_another_network_is_named(mpirun, tmp_path):
    done = mpirun(2, "differs", tmp_path / "run")
    assert done.returncode != 0 and "rank 1 has another network than rank 0: for the same picture" in done.stderr
    assert not (tmp_path / "run").exists()


class Thread:
    """A communicator between threads: the two methods that are used."""

    def __init__(self, rank: int, mailboxes: list[list[queue.Queue]]) -> None:
        self.rank, self.mailboxes = rank, mailboxes

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return len(self.mailboxes)

    def send(self, what, dest: int) -> None:
        self.mailboxes[self.rank][dest].put(what)

    def recv(self, source: int):
        return self.mailboxes[source][self.rank].get(timeout=60)


def on_threads(scorers, job):
    """The result of rank 0, or its exception, and those of the others."""
    count = len(scorers)
    mailboxes = [[queue.Queue() for _ in range(count)] for _ in range(count)]
    results = [None] * count

    def rank(number: int) -> None:
        try:
            results[number] = fooling.on_ranks(job, scorers[number], Thread(number, mailboxes))
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=rank, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a rank waits for ever"
    return results


@pytest.mark.parametrize("count", [1, 2, 3, 7, 25])
def test_the_run_does_not_depend_on_the_number_of_ranks(count, small, tmp_path):
    run, *others = on_threads([light] * count, lambda score: fooling.evolve(score, out=tmp_path / "ranks", **small))
    assert others == [None] * (count - 1)
    assert digest(run) == digest(fooling.evolve(light, out=tmp_path / "alone", **small))


def test_every_failure_ends_all_ranks(small, tmp_path):
    def broken(pictures):
        raise OSError("no more")

    def short(pictures):
        return light(pictures)[: len(pictures) - 1]

    def narrow(pictures):
        return np.ones((len(pictures), 1))

    def job(score):
        return fooling.evolve(score, out=tmp_path / "run", **small)

    def of_rank_0(score):
        score(np.zeros((4, 16, 16, 1), np.uint8))
        raise KeyboardInterrupt

    for scorers, job, expected, words in [
        ([light, broken, light], job, fooling.RankError, r"rank 1 \(.*\) failed: OSError: no more"),
        ([light, broken, broken], job, fooling.RankError, r"rank 1 .* failed: OSError: no more; rank 2"),
        ([broken, light, light], job, OSError, "^no more"),
        ([light, light, short], job, fooling.RankError, r"rank 2 .* ValueError: the scores have the shape \(0, 2\), but must have \(1, "),
        ([light, narrow, light], job, fooling.RankError, r"rank 1 returns scores with the shape \(1, 1\), but rank 0 with \(1, 2\)"),
        ([light, light, light], of_rank_0, KeyboardInterrupt, None),
    ]:
        first, *others = on_threads(scorers, job)
        assert isinstance(first, expected), first
        with pytest.raises(expected, match=words):
            raise first
        assert all(isinstance(other, (OSError, ValueError, fooling.RankError)) for other in others)
        assert not (tmp_path / "run").exists(), "nothing was recorded"


def test_the_callable_is_named_in_the_provenance(tmp_path, small):
    options = {name: value for name, value in small.items() if name not in ("name", "version")}
    run, _ = on_threads([light, light], lambda score: fooling.evolve(score, out=tmp_path / "run", **options))
    assert run.provenance["engine"] == "caller light, version unknown"
    lenet = fooling.Model("lenet")
    run, _ = on_threads(
        [lenet, lenet], lambda score: fooling.evolve(score, classes=10, picture=(28, 28, 1), generations=1, out=tmp_path / "b")
    )
    assert run.provenance["engine"] == f"caller lenet, version {lenet.version}"
