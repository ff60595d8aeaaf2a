"""The simple model that the network has to beat, on the very same encoded rows."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


def scores(kind: Literal["prior", "logistic"], train: Arrays, test: Arrays, sizes: dict[str, int]) -> npt.NDArray[np.float64]:
    """Scores of the test part, shape (n,).

    Args:
        kind: prior says the training rate for every row; logistic is L2 logistic regression on one-hot categories,
            standardised numbers and word presence.
    """
    if kind == "prior":
        return np.full(len(test["label"]), float(train["label"].mean()))
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.1, max_iter=200)
    model.fit(_matrix(train, sizes), train["label"])
    return np.asarray(model.predict_proba(_matrix(test, sizes))[:, 1], dtype=np.float64)


def _matrix(arrays: Arrays, sizes: dict[str, int]) -> Any:
    """Sparse design matrix, shape (n, category values + numbers + words)."""
    from scipy import sparse

    present = _one_hot(arrays["categories"], sizes["category_values"])
    words = _one_hot(arrays["tokens"], sizes["token_values"])[:, 1:]  # index 0 is padding
    words.data[:] = 1.0  # a word counts once
    return sparse.hstack([present, sparse.csr_matrix(arrays["numbers"]), words], format="csr")


def _one_hot(indices: npt.NDArray[np.int32], size: int) -> Any:
    from scipy import sparse

    num_rows, width = indices.shape
    rows = np.repeat(np.arange(num_rows), width)
    ones = np.ones(num_rows * width, dtype=np.float32)
    return sparse.coo_matrix((ones, (rows, indices.ravel())), shape=(num_rows, max(size, 1))).tocsr()
