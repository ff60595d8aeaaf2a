"""Simple models on the very rows the network learns from: some must be beaten, others stand beside it as a yardstick.

All of them learn from the training part. Boosting stops by the validation part, as the network does; the last known value
is looked up in both.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.problem import TASKS

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]

WORD_COMPONENTS = 24  # numbers that a text becomes before trees see it
MOST_CATEGORIES = 250  # values of one column that trees tell apart; scikit-learn's limit is 255
C = 0.1  # inverse strength of L2 in the linear models


def fit_and_score(
    names: Iterable[str], train: Arrays, validation: Arrays, test: Arrays, *, sizes: dict[str, int], task: str
) -> dict[str, Floats]:
    """Scores of the test part by every baseline named, shape (n,) with one output, (n, k) with several.

    Args:
        names: prior (rate, class shares or mean), median, last (the last known value of the same entity), linear (logistic or
            ridge regression on one-hot categories, standardised numbers and words), boosting (histogram gradient boosting).
        train, validation, test: packed inputs and `label`, see `snapshot.arrays_of`; `last` also needs `entity` and `day`,
            integers, shape (n,).
        sizes: from `features.encoder.sizes`.
        task: a name in `problem.TASKS`.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # scikit-learn's threads wait for each other actively: on busy cores that costs ten times the work
        return {name: KINDS[name](train, validation, test, sizes, task) for name in names}


def _prior(train: Arrays, validation: Arrays, test: Arrays, sizes: dict[str, int], task: str) -> Floats:
    return _constant(train["label"].mean(axis=0, dtype=np.float64), test)


def _median(train: Arrays, validation: Arrays, test: Arrays, sizes: dict[str, int], task: str) -> Floats:
    return _constant(np.median(train["label"], axis=0), test)


def _constant(value: Any, test: Arrays) -> Floats:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), test["label"].shape).copy()


def _last(train: Arrays, validation: Arrays, test: Arrays, sizes: dict[str, int], task: str) -> Floats:
    """Mean label of the newest day that the entity has before the test part; of the newest day of all for one never seen."""
    entity, day, label = (np.concatenate([train[name], validation[name]]) for name in ("entity", "day", "label"))
    newest: npt.NDArray[np.int64] = np.full(max(entity.max(), test["entity"].max()) + 1, -1, dtype=np.int64)
    np.maximum.at(newest, entity, day)
    latest = day == newest[entity]
    counts = np.bincount(entity[latest], minlength=len(newest))
    table = label.reshape(len(label), -1).astype(np.float64)
    overall = table[day == day.max()].mean(axis=0)
    sums = np.stack([np.bincount(entity[latest], weights=one[latest], minlength=len(newest)) for one in table.T], axis=1)
    means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], overall)
    return np.asarray(means[test["entity"]].reshape(test["label"].shape), dtype=np.float64)


def _linear(train: Arrays, validation: Arrays, test: Arrays, sizes: dict[str, int], task: str) -> Floats:
    from sklearn.linear_model import LogisticRegression, Ridge

    learned, asked = _matrix(train, sizes), _matrix(test, sizes)
    if TASKS[task].label == "number":
        ridge = Ridge(alpha=1 / C, solver="lsqr").fit(learned, train["label"])
        return np.asarray(ridge.predict(asked), dtype=np.float64).reshape(test["label"].shape)

    def fit(target: npt.NDArray[Any]) -> Floats:
        return np.asarray(LogisticRegression(C=C, max_iter=200).fit(learned, target).predict_proba(asked))

    return _classified(fit, train, test, task)


def _boosting(train: Arrays, validation: Arrays, test: Arrays, sizes: dict[str, int], task: str) -> Floats:
    """Trees on categories as categories, numbers, and texts as a few components of their words (latent semantic analysis)."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    learned, stopping, asked, categorical = _for_trees(train, validation, test, sizes)
    options = {"categorical_features": categorical, "early_stopping": True, "max_iter": 300, "random_state": 0}
    if TASKS[task].label == "number":
        outputs = [_column(part["label"]) for part in (train, validation)]
        each = [
            HistGradientBoostingRegressor(**options).fit(learned, ours, X_val=stopping, y_val=theirs).predict(asked)
            for ours, theirs in zip(outputs[0].T, outputs[1].T, strict=True)
        ]
        return np.stack(each, axis=1).reshape(test["label"].shape).astype(np.float64)

    def fit(target: npt.NDArray[Any], known: npt.NDArray[Any]) -> Floats:
        seen = np.isin(known, target)  # a class that only the validation part has teaches nothing
        model = HistGradientBoostingClassifier(**options)
        return np.asarray(model.fit(learned, target, X_val=stopping[seen], y_val=known[seen]).predict_proba(asked))

    return _classified(fit, train, test, task, validation)


KINDS: dict[str, Callable[[Arrays, Arrays, Arrays, dict[str, int], str], Floats]] = {
    "prior": _prior,
    "median": _median,
    "last": _last,
    "linear": _linear,
    "boosting": _boosting,
}


def _column(label: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels as a table, shape (n, k)."""
    return label.reshape(len(label), -1)


def _classified(fit: Callable[..., Floats], train: Arrays, test: Arrays, task: str, validation: Arrays | None = None) -> Floats:
    """Probabilities from a classifier: one for all classes, or one per output. An output with a single value keeps its rate.

    Args:
        fit: takes the targets of the given parts, shape (n,), and answers with probabilities, shape (n, classes it has seen).
    """
    tables = [_column(part["label"]) for part in (train, validation) if part is not None]
    scores = np.tile(tables[0].mean(axis=0, dtype=np.float64), (len(test["label"]), 1))
    if task == "multiclass":
        seen = np.flatnonzero(tables[0].any(axis=0))
        scores[:, seen] = fit(*(table.argmax(axis=1) for table in tables))
    else:
        for place in range(scores.shape[1]):
            if len(np.unique(tables[0][:, place])) == 2:
                scores[:, place] = fit(*(table[:, place] for table in tables))[:, 1]
    return scores.reshape(test["label"].shape)


def _matrix(arrays: Arrays, sizes: dict[str, int]) -> Any:
    """Sparse design matrix, shape (n, category values + numbers + words)."""
    from scipy import sparse

    present = _one_hot(arrays["categories"], sizes["category_values"])
    return sparse.hstack([present, sparse.csr_matrix(arrays["numbers"]), _words(arrays, sizes)], format="csr")


def _words(arrays: Arrays, sizes: dict[str, int]) -> Any:
    """Which words a row has, sparse, shape (n, words); a word counts once."""
    words = _one_hot(arrays["tokens"], sizes["token_values"])[:, 1:]  # index 0 is padding
    words.data[:] = 1.0
    return words


def _one_hot(indices: npt.NDArray[np.int32], size: int) -> Any:
    from scipy import sparse

    num_rows, width = indices.shape
    rows = np.repeat(np.arange(num_rows), width)
    ones = np.ones(num_rows * width, dtype=np.float32)
    return sparse.coo_matrix((ones, (rows, indices.ravel())), shape=(num_rows, max(size, 1))).tocsr()


def _for_trees(train: Arrays, validation: Arrays, test: Arrays, sizes: dict[str, int]) -> tuple[Any, Any, Any, list[bool]]:
    """Dense tables of the three parts, and which of their columns are categories."""
    parts = (train, validation, test)
    columns = [[*map(_codes, train["categories"].T, part["categories"].T), *part["numbers"].T] for part in parts]
    if sizes["tokens"]:
        texts = _components([_words(part, sizes) for part in parts])
        columns = [[*held, *text.T] for held, text in zip(columns, texts, strict=True)]
    learned, stopping, asked = (np.stack(held, axis=1).astype(np.float32) for held in columns)
    return learned, stopping, asked, [place < sizes["categories"] for place in range(learned.shape[1])]


def _components(words: list[Any]) -> list[npt.NDArray[Any]]:
    """Dense components of the words of every part, learned from the first; a single word, of texts that are empty, is itself."""
    from sklearn.decomposition import TruncatedSVD

    width = words[0].shape[1]
    if width == 1:
        return [one.toarray() for one in words]
    svd = TruncatedSVD(min(WORD_COMPONENTS, width), random_state=0).fit(words[0])
    return [np.asarray(svd.transform(one)) for one in words]


def _codes(learned: npt.NDArray[np.int32], column: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    """Category indices as 0, 1, ... by how often training has them; all rare and unseen values share the last code."""
    values, counts = np.unique(learned, return_counts=True)
    kept = values[np.argsort(-counts, kind="stable")][:MOST_CATEGORIES]
    order = np.argsort(kept)
    place = np.minimum(np.searchsorted(kept[order], column), len(kept) - 1)
    return np.where(kept[order][place] == column, order[place], len(kept))
