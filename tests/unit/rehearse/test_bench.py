"""Cold starts: work beside them makes a start look slow, never quick."""

import pytest

from ml.rehearse import bench


def starts(*pairs: tuple[float, float]):
    """What one more start of each takes, and the pairs that are left."""
    left = list(pairs)
    return lambda: left.pop(0), left


def test_a_start_that_does_not_look_slow_is_not_repeated():
    again, left = starts((9.0, 9.0))
    assert bench.quickest(1.4, 1.0, again) == (1.4, 1.0) and len(left) == 1
    assert bench.quickest(1.0, 8.0, again) == (1.0, 8.0) and len(left) == 1


def test_a_start_beside_other_work_is_not_the_models_fault():
    again, left = starts((7.0, 1.2), (1.1, 6.0), (0.1, 0.1))
    assert bench.quickest(5.4, 1.25, again) == (1.1, 1.2) and len(left) == 1


@pytest.mark.parametrize("champion", [1.0, 1.9])
def test_a_model_that_starts_slowly_is_seen_after_as_many_starts(champion):
    again, left = starts(*[(10.0, champion)] * (bench.STARTS - 1))
    assert bench.quickest(10.5, 4.0, again) == (10.0, champion) and left == []
