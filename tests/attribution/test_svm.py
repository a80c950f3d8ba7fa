import numpy as np
import pytest
from sklearn.svm import SVC

from fingerprintlib.attribution import svm
from fingerprintlib.attribution.svm import GaussianSVM


def clouds(count, sources, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(sources, size=count)
    return (rng.normal(size=(count, 3)) + np.eye(3)[labels % 3]).astype(np.float32), 5 * labels + 2


@pytest.mark.parametrize(("sources", "largest"), [(2, 1000), (3, 1000), (3, 10)])  # the last: SVC computes the kernels
def test_it_answers_as_that_of_scikit_learn(sources, largest, monkeypatch):
    monkeypatch.setattr(svm, "LARGEST", largest)
    monkeypatch.setattr(svm, "CHUNK", 128)
    features, labels = clouds(200, sources, 0)
    unseen, _ = clouds(300, sources, 1)
    mine, theirs = GaussianSVM(10).fit(features, labels), SVC(C=10).fit(features, labels)
    assert len(mine.support_) == len(theirs.support_)
    assert (mine.predict(unseen) == theirs.predict(unseen)).all()
    if sources == 2:
        scores = mine.decision_function(unseen)[:, 0]
        assert scores == pytest.approx(theirs.decision_function(unseen), abs=5e-3)  # both stop when off by 1e-3


def test_features_that_never_vary_are_learned_by_the_number_of_their_labels():
    fitted = GaussianSVM().fit(np.ones((9, 2)), np.repeat([0, 1, 2], [2, 3, 4]))
    assert fitted.predict(np.ones((1, 2))) == SVC().fit(np.ones((9, 2)), np.repeat([0, 1, 2], [2, 3, 4])).predict(
        [[1, 1]]
    )
