"""What a scorer may return, and the error if it returns something else."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
from conftest import digest, light

import fooling


def test_the_callable_gets_the_pictures_of_a_generation_at_once(tmp_path, small):
    seen = []

    def score(pictures):
        seen.append((pictures.dtype, pictures.shape, pictures.flags.writeable))
        return light(pictures)

    fooling.evolve(score, out=tmp_path / "run", **{**small, "initial": 30})
    assert seen == [(np.uint8, (30, 16, 16, 1), True)] + [(np.uint8, (20, 16, 16, 1), True)] * 5


def test_kept_pictures_stay_as_they_were(tmp_path, small):
    kept, copies = [], []

    def score(pictures):
        kept.append(pictures)
        copies.append(pictures.copy())
        return light(pictures)

    fooling.evolve(score, out=tmp_path / "run", **small)
    assert all((a == b).all() for a, b in zip(kept, copies)) and (kept[0] != kept[1]).any()


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda s: s[:, 0], ValueError, r"shape \(20,\), but must have \(20, 2\)"),
        (lambda s: s[:-1], ValueError, r"shape \(19, 2\), but must have \(20, 2\)"),
        (lambda s: s.T, ValueError, r"shape \(2, 20\)"),
        (lambda s: None, ValueError, r"shape \(\)"),
        (lambda s: s.astype(str), TypeError, "must be numbers"),
        (lambda s: s + 0j, TypeError, "complex128"),
        (lambda s: s * 0.5, ValueError, 'do not sum to 1.*sum 0.5.*output="sigmoid" fits'),
        (lambda s: s * 20 - 9, ValueError, 'not between 0 and 1.*output="logits" fits'),
        (lambda s: s * np.nan, ValueError, "class 0 has the score NaN"),
        (lambda s: s + np.inf, ValueError, "class 0 has the score inf"),
    ],
)
def test_wrong_scores_are_refused_in_clear_words(tmp_path, small, wrong, error, words):
    with pytest.raises(error, match=words):
        fooling.evolve(lambda pictures: wrong(light(pictures)), out=tmp_path / "run", **small)
    assert not (tmp_path / "run").exists(), "nothing was recorded"


def test_a_picture_without_valid_scores_takes_no_cell(tmp_path, small):
    def score(pictures):
        scores = light(pictures)
        scores[0] = [2, -1]
        return scores

    seen = []
    with pytest.warns(UserWarning, match="picture 0 of generation 0 is refused.*not between 0 and 1"):
        run = fooling.evolve(score, out=tmp_path / "run", progress=seen.append, **small)
    assert seen[-1].refused == 6 and run.summary["refused"] == 6


def test_logits_and_others(tmp_path, small):
    def logits(pictures):
        return np.log(light(pictures) + 1e-9) + 5

    def log_probabilities(pictures):
        scores = light(pictures) + 1e-9
        return np.log(scores / scores.sum(axis=1, keepdims=True))

    plain = fooling.evolve(light, out=tmp_path / "plain", **small)
    for number, (score, output) in enumerate([(logits, "logits"), (log_probabilities, "log-probabilities")]):
        run = fooling.evolve(score, out=tmp_path / str(number), output=output, **small)
        assert run.confidences == pytest.approx(plain.confidences, abs=1e-5)
    both = fooling.evolve(lambda pictures: np.sqrt(light(pictures)), out=tmp_path / "both", output="sigmoid", **small)
    assert both.confidences.sum() > 1.2
    with pytest.raises(ValueError, match="unknown output 'softmax'"):
        fooling.evolve(light, out=tmp_path / "no", output="softmax", **small)


class Wrapped:
    """An array of another library."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


class ByProtocol(Wrapped):
    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype=dtype)


class ByDlpack(Wrapped):
    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Tensor(Wrapped):
    """Like a PyTorch tensor that needs gradients: only a detached one gives its numbers."""

    def detach(self):
        return Detached(self.array)

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


class Detached(Wrapped):
    def cpu(self):
        return ByProtocol(self.array)


Tensor.cpu = lambda self: self  # type: ignore[attr-defined]
Detached.detach = lambda self: self  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrap", [ByProtocol, ByDlpack, Tensor, lambda array: array.tolist(), np.asfortranarray])
def test_arrays_of_other_libraries_are_taken(tmp_path, small, wrap):
    plain = fooling.evolve(light, out=tmp_path / "plain", **small)
    wrapped = fooling.evolve(lambda pictures: wrap(light(pictures)), out=tmp_path / "wrapped", **small)
    assert digest(plain) == digest(wrapped)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (dict(picture=(16, 20, 1)), ValueError, "square"),
        (dict(picture=(16, 16, 2)), ValueError, "1 channel"),
        (dict(picture=(16,)), ValueError, "height, width, channels"),
        (dict(picture=(5000, 5000, 1)), ValueError, "side|4096|pixels"),
        (dict(classes=1), ValueError, "1 classes, but 2 to"),
        (dict(classes=[3, 4]), TypeError, "number or their names"),
        (dict(only=[2]), ValueError, "class 2 is not one of the model's 2 classes"),
        (dict(only=[0], target=1), ValueError, "cannot be combined"),
        (dict(batch=0), ValueError, "batch|picture"),
        (dict(seed=-1), ValueError, "u64"),
        (dict(encoding="cnn"), ValueError, "unknown variant `cnn`, expected `cppn` or `direct`"),
        (dict(rates={"weight": 2}), ValueError, "rate weight is 2"),
        (dict(rates={"heat": 0.5}), ValueError, "unknown field `heat`"),
        (dict(name=""), ValueError, "name of 1 to 1000"),
        (dict(version="1\n2"), ValueError, "control characters"),
        (dict(model="lenet"), TypeError, "either score"),
        (dict(crops="ten"), TypeError, "only for a model"),
    ],
)
def test_wrong_arguments_leave_nothing_behind(tmp_path, small, change, error, words):
    options = {**small, **change}
    if options["name"] == "":
        with pytest.raises(error, match=words):
            fooling.Search(out=tmp_path / "run", **options)
    else:
        with pytest.raises(error, match=words):
            fooling.evolve(light, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_arguments_that_do_not_fit_a_model(tmp_path):
    for options in [dict(classes=10), dict(picture=(28, 28, 1)), dict(name="x"), dict(output="logits")]:
        with pytest.raises(TypeError, match="only for a callable"):
            fooling.evolve(model="lenet", out=tmp_path / "run", **options)
    with pytest.raises(TypeError, match="either"):
        fooling.evolve(out=tmp_path / "run")
    with pytest.raises(TypeError, match="classes and picture"):
        fooling.evolve(light, out=tmp_path / "run")
    with pytest.raises(ValueError, match="no built-in model called `no-such-model`"):
        fooling.evolve(model="no-such-model", out=tmp_path / "run")


def test_a_warning_that_is_an_error_changes_nothing(tmp_path, small):
    def bad(pictures):
        scores = light(pictures)
        scores[3] = [2, -1]
        return scores

    plain = fooling.evolve(light, out=tmp_path / "plain", **small)
    search = fooling.Search(out=tmp_path / "run", **small)
    search.tell(light(search.ask()))
    before = search.confidences
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(UserWarning, match="picture 3 of generation 1 is refused"):
                search.tell(bad(search.ask()))
        assert search.generation == 1 and (search.confidences == before).all()
        while not search.done:
            search.tell(light(search.ask()))
    assert digest(search.finish()) == digest(plain)


def test_pictures_that_another_thread_changes_are_scored_as_they_were(lenet):
    """The native half scores without Python's lock, so it must have copied the pictures before."""
    count, shape = 500, (28, 28, 1)
    buffer, stop = bytearray(count * 784), threading.Event()
    pictures = np.frombuffer(buffer, np.uint8).reshape(count, *shape)
    black, white = lenet(np.stack([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)]))

    def write():
        contents = [bytes(len(buffer)), b"\xff" * len(buffer)]
        while not stop.is_set():
            # Under the lock, so all pictures are black, or all are white.
            for content in contents:
                buffer[:] = content

    thread = threading.Thread(target=write)
    thread.start()
    try:
        found = [lenet.score(pictures, threads=1) for _ in range(8)]
    finally:
        stop.set()
        thread.join()
    for scores in found:
        assert (scores == black).all() or (scores == white).all()
