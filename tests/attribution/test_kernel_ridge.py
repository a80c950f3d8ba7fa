import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge

from fingerprintlib.attribution import kernel_ridge
from fingerprintlib.attribution.kernel_ridge import GaussianRidge, gaussian_ridges


def clouds(count, sources, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(sources, size=count)
    return (rng.normal(size=(count, 3)) + np.eye(3)[labels % 3]).astype(np.float32), 5 * labels + 2


def reference(fitted, features, labels, unseen):
    targets = np.float64(labels[:, None] == fitted.classes_)
    model = KernelRidge(alpha=fitted.penalty, kernel="rbf", gamma=fitted.gamma_)
    return model.fit(features, targets - targets.mean(0)).predict(unseen) + targets.mean(0)


@pytest.mark.parametrize("sources", [2, 3])
@pytest.mark.parametrize(("landmarks", "memory"), [(500, 1), (60, 1), (60, 0)])  # at once, by steps, not held
def test_it_answers_as_that_of_scikit_learn(sources, landmarks, memory, monkeypatch):
    monkeypatch.setattr(kernel_ridge, "LANDMARKS", landmarks)
    monkeypatch.setattr(kernel_ridge, "MEMORY", memory)
    monkeypatch.setattr(kernel_ridge, "BLOCK", 64)
    monkeypatch.setattr(kernel_ridge, "TOLERANCE", 1e-5)
    features, labels = clouds(400, sources, 0)
    unseen, of_unseen = clouds(300, sources, 1)
    fitted = GaussianRidge(0.1).fit(features, labels)
    expected = reference(fitted, features, labels, unseen)
    assert fitted.decision_function(unseen) == pytest.approx(expected, abs=1e-3)
    assert (fitted.predict(unseen) == fitted.classes_[expected.argmax(1)]).mean() > 0.99
    assert fitted.score(unseen, of_unseen) > 1.3 / sources
    assert (fitted.steps_ == 0) == (landmarks == 500)


def test_landmarks_make_the_steps_few(monkeypatch):
    features, labels = clouds(1500, 3, 0)

    def steps(landmarks):
        monkeypatch.setattr(kernel_ridge, "LANDMARKS", landmarks)
        return GaussianRidge(0.01).fit(features, labels).steps_

    assert steps(300) * 3 < steps(3)


def test_an_answer_is_found_soon_enough(monkeypatch):
    """Where the steps end, hardly an answer is another than where they would go on."""
    monkeypatch.setattr(kernel_ridge, "LANDMARKS", 200)
    features, labels = clouds(1500, 3, 0)
    unseen, _ = clouds(1000, 3, 1)
    fitted = GaussianRidge(0.03).fit(features, labels)
    expected = reference(fitted, features, labels, unseen)
    assert 0 < fitted.steps_ < kernel_ridge.STEPS
    assert (fitted.predict(unseen) == fitted.classes_[expected.argmax(1)]).mean() > 0.99


def test_images_that_are_all_alike_are_learned_by_the_number_of_their_labels(monkeypatch):
    for landmarks in (9, 3):
        monkeypatch.setattr(kernel_ridge, "LANDMARKS", landmarks)
        fitted = GaussianRidge().fit(np.ones((9, 2)), np.repeat([0, 1, 2], [2, 3, 4]))
        assert fitted.predict(np.ones((1, 2))) == 2
        assert fitted.decision_function(np.ones((1, 2)))[0] == pytest.approx([2 / 9, 3 / 9, 4 / 9], abs=0.01)


def test_what_is_not_solved_says_so(monkeypatch):
    monkeypatch.setattr(kernel_ridge, "LANDMARKS", 9)
    monkeypatch.setattr(kernel_ridge, "STEPS", 1)
    with pytest.warns(ConvergenceWarning, match="Not solved in 1 steps. Raise the penalty"):
        GaussianRidge(1e-3).fit(*clouds(100, 3, 0))


def test_several_penalties_give_what_each_gives_alone(monkeypatch):
    monkeypatch.setattr(kernel_ridge, "LANDMARKS", 60)
    features, labels = clouds(400, 3, 0)
    penalties = (1.0, 0.1)
    for penalty, fitted in zip(penalties, gaussian_ridges(features, labels, penalties), strict=True):
        assert fitted.penalty == penalty
        assert np.array_equal(fitted.weights_, GaussianRidge(penalty).fit(features, labels).weights_)


def test_on_a_cluster_no_more_memory_is_taken_than_the_job_asked_for(monkeypatch):
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    everything = kernel_ridge._free()
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "3")
    assert kernel_ridge._free() == 3 * 2**20 < everything
