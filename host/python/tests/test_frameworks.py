"""Classifiers of other frameworks."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import digest

import fooling


def test_onnxruntime_scores(lenet, lenet_file, program, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(lenet_file, providers=["CPUExecutionProvider"])
    (given,), (found,) = session.get_inputs(), session.get_outputs()

    def score(pictures):
        batch = pictures.transpose(0, 3, 1, 2).astype(np.float32) / 256
        return session.run([found.name], {given.name: batch})[0]

    pictures = np.random.default_rng(0).integers(0, 256, (50, 28, 28, 1), dtype=np.uint8)
    assert score(pictures) == pytest.approx(lenet(pictures), abs=1e-5)
    options = dict(classes=10, picture=(28, 28, 1), generations=30, seed=3, name="onnxruntime", version=onnxruntime.__version__)
    run = fooling.evolve(score, out=tmp_path / "run", **options)
    # Its scores differ from the engine's in their last bits, so the run may be another one. But it repeats itself with the same seed.
    assert digest(run) == digest(fooling.evolve(score, out=tmp_path / "again", **options))
    assert lenet(run.pictures).diagonal() == pytest.approx(run.confidences, abs=1e-4)
    assert (run.confidences > 0.9).sum() >= 8
    assert run.summary["evaluations"] == program.summary["evaluations"]


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order], labels[order]
    return images[:1400], labels[:1400], images[1400:], labels[1400:]


def classifiers():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier

    return {
        "mlp": MLPClassifier((64,), max_iter=400, random_state=1),
        "forest": RandomForestClassifier(100, random_state=1, n_jobs=1),
    }


@pytest.mark.parametrize("kind", ["mlp", "forest"])
def test_scikit_learn_calls_noise_digits(kind, digits, tmp_path, capsys):
    pytest.importorskip("sklearn")
    classifier = classifiers()[kind]
    classifier.fit(digits[0], digits[1])
    assert classifier.score(digits[2], digits[3]) > 0.93

    def score(pictures):
        # The digits of scikit-learn have 8 x 8 pixels from 0 to 16.
        return classifier.predict_proba(pictures.reshape(len(pictures), -1) / 255 * 16)

    options = dict(classes=10, picture=(8, 8, 1), generations=40, encoding="direct", name=kind, version="1")
    run = fooling.evolve(score, out=tmp_path / "run", **options)
    with capsys.disabled():
        print(f"\n{kind}: confidence in evolved noise", {digit: f"{score:.0%}" for digit, score in enumerate(run.confidences)})
    assert score(run.pictures).diagonal() == pytest.approx(run.confidences, abs=1e-6)
    # A network is sure of far more noise than a vote of trees, which seldom agree.
    sure = (run.confidences >= 0.99).sum()
    assert sure >= 8 if kind == "mlp" else sure <= 2
    assert run.confidences.min() > 0.2
