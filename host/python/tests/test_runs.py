"""Runs: the same as the program's, whole or in pieces."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import digest, light

import fooling

LENET = dict(classes=10, picture=(28, 28, 1), generations=30, seed=3)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_callable_makes_the_run_of_the_program(lenet, program, tmp_path, threads):
    run = fooling.evolve(lambda pictures: lenet.score(pictures), out=tmp_path / "run", threads=threads, **LENET)
    assert digest(run) == digest(program)
    assert (run.pictures == program.pictures).all() and (run.confidences == program.confidences).all()
    assert run.genomes == program.genomes


def test_float64_scores_make_the_same_run(lenet, program, tmp_path):
    run = fooling.evolve(lambda pictures: lenet(pictures).astype(np.float64), out=tmp_path / "run", **LENET)
    assert digest(run) == digest(program)


@pytest.mark.parametrize("options", [dict(encoding="direct"), dict(target=4), dict(only=[7, 2]), dict(variant="released", seed=9)])
def test_every_kind_of_run_is_that_of_the_program(lenet, tmp_path, options):
    options = {"generations": 4, **options}
    by_engine = fooling.evolve(model=lenet, out=tmp_path / "engine", **options)
    by_call = fooling.evolve(lenet, classes=10, picture=(28, 28, 1), out=tmp_path / "call", **options)
    assert digest(by_engine) == digest(by_call)
    assert list(by_call.classes) == list(by_engine.classes)


def test_repeated_pictures_need_no_score(lenet, tmp_path):
    """So few pictures in a generation that all of them may be repeated."""
    sizes = []

    def score(pictures):
        sizes.append(len(pictures))
        return lenet(pictures)

    options = {**LENET, "initial": 40, "batch": 2, "generations": 200, "name": "lenet", "version": "1"}
    runs = [fooling.evolve(score, out=tmp_path / str(skip), skip_repeated=skip, **options) for skip in (False, True)]
    whole, fewer = sizes[:201], sizes[201:]
    assert digest(runs[0]) == digest(runs[1]) == digest(fooling.evolve(lenet, out=tmp_path / "model", **options))
    assert whole == [40] + [2] * 200
    assert len(fewer) < 201 and 1 in fewer and 0 not in fewer
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("False", "True", "model")]
    assert [summary["repeated"] for summary in summaries] == [0, 440 - sum(fewer), 440 - sum(fewer)]
    fooling.resume(tmp_path / "True", lenet, name="lenet", version="1", generations=201)


def test_the_program_makes_the_same_run(program, tmp_path):
    """With FOOLING_PROGRAM, the path of the compiled program; .ci/run sets it."""
    path = os.environ.get("FOOLING_PROGRAM")
    if not path:
        pytest.skip("FOOLING_PROGRAM is not set")
    evolve = [path, "evolve", "--generations", "30", "--seed", "3", "--out", str(tmp_path / "run"), "--json"]
    subprocess.run(evolve, check=True, capture_output=True)
    assert digest(fooling.open(tmp_path / "run")) == digest(program)
    subprocess.run([path, "replay", program.dir], check=True, capture_output=True)


def test_a_run_from_an_onnx_file(lenet_file, program, tmp_path):
    run = fooling.evolve(model=lenet_file, generations=30, seed=3, out=tmp_path / "run")
    assert digest(run) == digest(program)


def test_crops_are_those_of_the_run(tmp_path):
    run = fooling.evolve(model="lenet", crops="centre", generations=2, batch=20, out=tmp_path / "run")
    assert run.pictures.shape[1] == 32  # The network sees the 28 pixels in the middle.
    fooling.resume(tmp_path / "run", generations=3)


class Failing:
    """Scores until the call with this number."""

    def __init__(self, score, calls: int, error: BaseException) -> None:
        self.score, self.calls, self.error = score, calls, error

    def __call__(self, pictures):
        self.calls -= 1
        if self.calls < 0:
            raise self.error
        return self.score(pictures)


@pytest.mark.parametrize("error", [RuntimeError("the GPU is gone"), KeyboardInterrupt(), SystemExit(3)])
def test_exceptions_go_through_and_the_run_is_resumed(lenet, program, tmp_path, error):
    out = tmp_path / "run"
    with pytest.raises(type(error)) as caught:
        fooling.evolve(Failing(lenet, 12, error), name="lenet", version="1", out=out, **LENET)
    assert caught.value is error
    assert fooling.open(out).generation == 11
    run = fooling.resume(out, lenet, name="lenet", version="1")
    assert digest(run) == digest(program) and run.generation == 30


def test_a_run_without_records_leaves_no_folder(lenet, tmp_path):
    with pytest.raises(ZeroDivisionError):
        fooling.evolve(Failing(lenet, 0, ZeroDivisionError()), out=tmp_path / "run", **LENET)
    assert not (tmp_path / "run").exists()
    fooling.evolve(lenet, out=tmp_path / "run", **{**LENET, "generations": 1})


def test_a_killed_process_is_resumed(program, tmp_path):
    out = tmp_path / "run"
    code = (
        "import fooling, os; lenet = fooling.Model('lenet'); left = [9]\n"
        "def score(pictures):\n"
        "    left[0] -= 1\n"
        "    if not left[0]: os._exit(9)\n"
        "    return lenet(pictures)\n"
        f"fooling.evolve(score, classes=10, picture=(28, 28, 1), generations=30, seed=3, out={str(out)!r}, name='l', version='1')"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert digest(fooling.resume(out, fooling.Model("lenet"), name="l", version="1")) == digest(program)


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("how", ["score", "model"])
def test_ctrl_c_stops_a_run_that_can_be_resumed(how, tmp_path):
    out = tmp_path / "run"
    code = (
        # A shell without job control starts background processes with this signal ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import fooling\n"
        "lenet = fooling.Model('lenet')\n"
        "who = dict(model=lenet) if HOW == 'model' else dict(score=lenet, classes=10, picture=(28, 28, 1))\n"
        "fooling.evolve(**who, generations=100000, seed=3, out=OUT, progress=lambda now: print(now.generation, flush=True))"
    ).replace("HOW", repr(how)).replace("OUT", repr(str(out)))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(5):
        assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors and process.returncode in (1, 130, -signal.SIGINT), errors
    reached = fooling.open(out).generation
    assert reached >= 4
    lenet = None if how == "model" else fooling.Model("lenet")
    run = fooling.resume(out, lenet, generations=reached + 2)
    assert run.generation == reached + 2 and fooling.replay(out).same


def test_a_resumed_run_asks_for_its_own_scorer(lenet, lenet_file, tmp_path, program, small):
    out = tmp_path / "run"
    fooling.evolve(light, out=out, **small)
    for name, version in [("light", "2"), ("dark", "1")]:
        with pytest.raises(RuntimeError, match=f"light, version 1.*{name}, version {version}"):
            fooling.resume(out, light, name=name, version=version)
    with pytest.raises(ValueError, match="scored by a callable.*light, version 1"):
        fooling.resume(out)
    # And a run of the engine is not continued by a callable.
    copy = tmp_path / "copy"
    shutil.copytree(program.dir, copy)
    with pytest.raises(RuntimeError, match="scores come from the engine"):
        fooling.resume(copy, lenet)
    assert fooling.resume(copy, generations=31).generation == 31
    assert fooling.resume(copy, model=lenet_file, generations=32).generation == 32
    assert fooling.resume(out, light, name="light", version="1", generations=8).generation == 8
    assert fooling.open(out).provenance["engine"] == "caller light, version 1"


def test_folders_are_not_overwritten(tmp_path, small, monkeypatch):
    run = fooling.evolve(light, out=tmp_path / "run", **small)
    with pytest.raises(FileExistsError):
        fooling.evolve(light, out=tmp_path / "run", **small)
    assert digest(fooling.open(tmp_path / "run")) == digest(run)
    monkeypatch.chdir(tmp_path)
    folders = [Path(fooling.evolve(light, **small).dir) for _ in range(2)]
    assert folders == [Path("runs/light-cppn-1"), Path("runs/light-cppn-2")]
    with pytest.raises(FileNotFoundError):
        fooling.open(tmp_path / "nowhere")


def test_other_threads_run_while_pictures_are_drawn(tmp_path):
    """The lock is held only while `score` runs: another Python thread must make progress during `ask`."""
    search = fooling.Search(
        classes=2, picture=(256, 256, 3), name="light", version="1", batch=400, out=tmp_path / "run", threads=1
    )
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    search.ask()
    end = time.perf_counter()
    stop.set()
    thread.join()
    during = [at for at in ticks if start < at < end]
    assert len(during) >= 10, f"{len(during)} ticks in {end - start:.3f} s"


def test_progress(tmp_path, small, lenet, capsys):
    seen = []
    run = fooling.evolve(light, out=tmp_path / "a", progress=seen.append, **small)
    assert [now.generation for now in seen] == list(range(6)) and seen[-1].pictures == 120
    assert seen[-1].median == pytest.approx(float(np.median(run.confidences)))
    seen.clear()
    fooling.evolve(model=lenet, generations=2, batch=10, out=tmp_path / "b", progress=seen.append)
    assert [now.generation for now in seen] == [0, 1, 2]

    def broken(now):
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        fooling.evolve(model=lenet, generations=20, batch=10, out=tmp_path / "c", progress=broken)
    assert fooling.resume(tmp_path / "c", generations=1).generation == 1
    fooling.evolve(light, out=tmp_path / "d", progress=True, **small)
    assert "generation" in capsys.readouterr().err
