"""Reading runs, scoring, rendering, ask and tell."""

from __future__ import annotations

import json
import os
import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import digest, light

import fooling


def test_what_a_run_says(program):
    run = fooling.open(program.dir)
    assert run.pictures.shape == (10, 28, 28, 1) and run.pictures.dtype == np.uint8
    assert run.confidences.shape == (10,) and run.confidences.dtype == np.float32
    assert run.labels == [str(digit) for digit in range(10)] and list(run.classes) == list(range(10))
    assert run.generation == 30 and len(run.births) == 10 and run.births.max() <= 30
    assert run.config["seed"] == 3 and run.provenance["model"] == "lenet" and run.summary["evaluations"] == 31 * 200
    assert run.dir in repr(run) and "10 of 10" in repr(run)


def test_the_curve(program):
    curve = program.curve
    assert curve.dtype.names[:3] == ("generation", "filled", "median") and list(curve["generation"]) == list(range(31))
    assert (np.diff(curve["median"]) >= 0).all()
    assert curve["median"][-1] == pytest.approx(float(np.median(program.confidences)))
    assert curve["at_99"][-1] == (program.confidences >= 0.99).sum()


def test_lineages(program):
    for cell in range(10):
        lineage = program.lineage(cell, most=1000)
        assert (lineage[-1].picture == program.pictures[cell]).all()
        assert lineage[0].generation == 0 and lineage[-1].generation == program.births[cell]
        generations = [ancestor.generation for ancestor in lineage]
        assert generations == sorted(set(generations))
    assert len(program.lineage(3, most=2)) == min(2, len(program.lineage(3, most=1000)))
    with pytest.raises(IndexError):
        program.lineage(10)
    with pytest.raises(ValueError):
        program.lineage(0, most=1)


def test_genomes_draw_their_pictures(program):
    for genome, picture in zip(program.genomes, program.pictures):
        assert (fooling.render(genome) == picture).all()
        assert (fooling.render(json.loads(genome), 28) == picture).all()
        assert fooling.render(genome, 100).shape == (100, 100, 1)
    with pytest.raises(ValueError, match="not a genome"):
        fooling.render("{}")
    for size in (0, 5000, 70000):
        with pytest.raises(ValueError, match="4096"):
            fooling.render(program.genomes[0], size)


def test_colour(tmp_path):
    def red(pictures):
        share = pictures[..., 0].mean(axis=(1, 2)) / 255
        return np.stack([share, 1 - share], axis=1)

    run = fooling.evolve(red, classes=["red", "not red"], picture=(32, 32, 3), generations=20, batch=40, out=tmp_path / "run")
    assert run.pictures.shape == (2, 32, 32, 3) and run.labels == ["red", "not red"]
    assert run.pictures[0, ..., 0].mean() / 255 == pytest.approx(run.confidences[0], abs=1e-6)
    assert run.confidences.min() > 0.9
    assert (fooling.render(run.genomes[0]) == run.pictures[0]).all()


def test_the_sheet_is_a_picture(program):
    assert program.sheet.startswith(b"\x89PNG")
    assert program.sheet == (Path(program.dir) / "sheet.png").read_bytes()
    assert program._repr_html_().startswith("<img ") and "base64," in program._repr_html_()


def test_replay_compares_with_the_stored_pictures(lenet, tmp_path):
    run = fooling.evolve(model=lenet, generations=3, out=tmp_path / "run")
    assert fooling.replay(run.dir).same
    picture = tmp_path / "run" / "cells" / "0004.png"
    picture.write_bytes((tmp_path / "run" / "cells" / "0005.png").read_bytes())
    (tmp_path / "run" / "cells" / "0006.png").unlink()
    found = fooling.replay(run.dir)
    assert not found.same and ["0004" in found.differences[0], "0006" in found.differences[1]] == [True, True]


def test_a_damaged_journal_is_refused_and_a_torn_one_is_read(lenet, tmp_path):
    run = fooling.evolve(model=lenet, generations=5, out=tmp_path / "run")
    journal = tmp_path / "run" / "journal.fool"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-3])
    with pytest.warns(UserWarning, match="journal"):
        assert fooling.open(run.dir).generation == 4
    with pytest.warns(UserWarning):
        assert digest(fooling.resume(run.dir)) == digest(run)
    journal.write_bytes(b"?" + whole[1:])
    with pytest.raises(RuntimeError, match="journal.fool"):
        fooling.open(run.dir)


def test_the_engine_scores(lenet, lenet_file, program):
    scores = lenet.score(program.pictures)
    assert scores.shape == (10, 10) and scores.dtype == np.float32
    assert (scores.diagonal() == program.confidences).all()
    assert scores.sum(axis=1) == pytest.approx(1, abs=1e-5)
    for same in [
        fooling.score("lenet", program.pictures),
        fooling.score(lenet_file, program.pictures[..., 0], threads=1),
        lenet(program.pictures[::-1])[::-1],
    ]:
        assert (same == scores).all()
    assert lenet.score(program.pictures[:0]).shape == (0, 10)
    # Pictures of another size are scaled.
    assert lenet(program.pictures.repeat(2, 1).repeat(2, 2)) == pytest.approx(scores, abs=0.2)
    assert lenet.picture == (28, 28, 1) and lenet.labels == program.labels and len(lenet.version) == 64
    for wrong, error in [(program.pictures / 255, TypeError), (program.pictures[0, 0], ValueError), (np.zeros((1, 8, 9, 1), np.uint8), ValueError)]:
        with pytest.raises(error):
            lenet(wrong)


def test_ask_and_tell(lenet, program, tmp_path):
    with fooling.Search(classes=10, picture=(28, 28), name="l", version="1", seed=3, generations=30, out=tmp_path / "run") as search:
        assert search.stats == (0, 0.0, 0.0, None, None) and np.isnan(search.confidences).all()
        with pytest.raises(ValueError, match="ask for the pictures"):
            search.tell(np.full((200, 10), 0.1))
        while not search.done:
            pictures = search.ask()
            assert pictures.shape == (search.batch_size, 28, 28, 1)
            assert search.generation % 7 or (search.ask() == pictures).all()
            search.tell(lenet(pictures))
        stats = search.stats
        run = search.finish()
    assert digest(run) == digest(program)
    assert stats.num_elites == 10 and stats.coverage == 1 and stats.obj_max == run.confidences.max()
    assert stats.qd_score == pytest.approx(run.confidences.sum()) and stats.obj_mean == pytest.approx(run.confidences.mean())
    for ended in (search.ask, lambda: search.tell(np.zeros((200, 10))), search.finish):
        with pytest.raises(RuntimeError, match="has ended"):
            ended()


def test_ask_and_tell_may_go_on_and_be_resumed(small, tmp_path):
    search = fooling.Search(out=tmp_path / "run", **small)
    for _ in range(8):
        search.tell(light(search.ask()))
    assert search.done and search.generation == 8
    search.close()
    search = fooling.Search.resume(tmp_path / "run", name="light", version="1", generations=9)
    search.tell(light(search.ask()))
    search.tell(light(search.ask()))
    assert search.done
    assert digest(search.finish()) == digest(fooling.evolve(light, out=tmp_path / "whole", **{**small, "generations": 9}))


def test_a_run_in_use_is_not_resumed(small, tmp_path):
    search = fooling.Search(out=tmp_path / "run", **small)
    search.tell(light(search.ask()))
    with pytest.raises(OSError, match="in use"):
        fooling.resume(tmp_path / "run", light, name="light", version="1")
    search.close()
    fooling.resume(tmp_path / "run", light, name="light", version="1")


def test_the_types_are_right():
    from mypy import api

    package = Path(__file__).parents[1] / "python" / "fooling"
    output, errors, status = api.run(["--strict", "--no-incremental", "--python-version", "3.10", str(package)])
    assert status == 0, output + errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_model_scores_in_a_forked_process(lenet, program):
    """The threads that score are kept between calls, but a process that was forked does not have them."""
    scores = lenet(program.pictures)
    child = os.fork()
    if child == 0:
        os._exit(0 if (lenet(program.pictures) == scores).all() else 1)
    for _ in range(600):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.05)
    else:
        os.kill(child, 9)
        pytest.fail("the forked process waits for ever")
    assert status == 0


def test_several_threads_score_at_the_same_time(lenet, program):
    expected = lenet(program.pictures)
    found = {}

    def score(number):
        found[number] = [lenet.score(program.pictures[number:], threads=1 + number % 3) for _ in range(20)]

    threads = [threading.Thread(target=score, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((scores == expected[number:]).all() for number in range(4) for scores in found[number])
