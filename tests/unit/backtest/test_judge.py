"""From answers to what a policy is worth, and to what is recommended."""

import numpy as np
import pytest

from ml import metrics
from ml.backtest import judge
from ml.records.backtest import PolicyOutcome
from ml.window import Window


def outcome(policy: str, values: list[float], minutes: float, **more) -> PolicyOutcome:
    quality = np.asarray(values)
    return PolicyOutcome(
        policy=policy,
        quality=judge.mean(quality),
        over_time=judge.plain(quality),
        num_nights=len(values),
        num_trained=1,
        num_promoted=1,
        num_failed=0,
        train_minutes=minutes,
        decide_minutes=0.0,
        **more,
    )


def around(level: float, seed: int = 0, size: int = 40) -> list[float]:
    return (level + 0.01 * np.random.default_rng(seed).normal(size=size)).tolist()


def test_quality_is_measured_piece_by_piece_and_a_piece_without_an_answer_is_none():
    days = np.repeat(["2013-03-01", "2013-03-02", "2013-03-03"], 50)
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 150).astype(float)
    labels[100:] = 1.0  # all the same: the metric is not defined
    scores = labels + generator.normal(size=150)
    pieces = [Window.parse(f"2013-03-0{day}") for day in (1, 2, 3, 4)]
    found = judge.by_piece("auc", days, labels, scores, pieces)
    assert found[:2] == pytest.approx([metrics.metric("auc", labels[at : at + 50], scores[at : at + 50]) for at in (0, 50)])
    assert np.isnan(found[2:]).all()
    assert judge.plain(found)[2:] == (None, None)


def test_the_interval_of_a_gain_is_over_pieces_and_holds_the_truth_as_often_as_it_says():
    generator, held = np.random.default_rng(7), 0
    for _ in range(200):
        weather = generator.normal(0, 0.05, 20)  # both have it, so it cancels
        ours, theirs = (0.7 + weather + generator.normal(more, 0.01, 20) for more in (0.004, 0.0))
        gain = judge.gain("auc", ours, theirs)
        assert gain.high - gain.low < 0.02
        held += gain.low <= 0.004 <= gain.high
    assert 180 <= held <= 199


def test_a_loss_is_better_when_it_is_lower():
    assert judge.gain("log_loss", np.asarray([0.5, 0.4, 0.5]), np.asarray([0.6, 0.6, 0.7])).value == pytest.approx(1 / 6)


def test_the_cheapest_policy_that_is_not_surely_worse_than_the_best_is_recommended():
    weather = np.random.default_rng(2).normal(0, 0.03, 40)
    never = outcome("never", (0.64 + weather).tolist(), 1.0)
    evergreen = outcome("evergreen", (np.asarray(around(0.70, 1)) + weather).tolist(), 12.0)
    nightly = outcome("nightly", (np.asarray(around(0.701, 2)) + weather).tolist(), 100.0)
    chosen, words = judge.recommend([never, nightly, evergreen], "auc")
    assert chosen == "evergreen"
    assert "a difference within chance" in words
    assert "surely worse: never" in words


def test_where_retraining_gains_nothing_it_is_not_recommended():
    chosen, _ = judge.recommend([outcome("nightly", around(0.7, 1), 50), outcome("never", around(0.7, 2), 1)], "auc")
    assert chosen == "never"


def test_the_best_is_recommended_when_all_others_are_surely_worse():
    nightly, never = outcome("nightly", around(0.75, 1), 50), outcome("never", around(0.7, 2), 1)
    assert judge.recommend([never, nightly], "auc")[0] == "nightly"
    nightly, never = outcome("nightly", around(0.45, 1), 50), outcome("never", around(0.5, 2), 1)
    assert judge.recommend([never, nightly], "log_loss")[0] == "nightly"


def test_the_goals_are_told_as_they_are():
    gain = judge.gain("auc", np.asarray(around(0.70, 1)), np.asarray(around(0.70, 2)))
    sure = judge.gain("auc", np.asarray(around(0.70, 1)), np.asarray(around(0.60, 2)))
    ours = outcome("evergreen", around(0.7), 20, over_nightly=gain, over_never=sure)
    told = judge.goals({"evergreen": ours, "nightly": outcome("nightly", around(0.7), 100), "never": ours}, "evergreen")
    assert "no worse than chance allows, for 20% of the training minutes" in told[0]
    assert "surely better" in told[1]
    lost = ours.model_copy(update={"over_nightly": judge.gain("auc", np.asarray(around(0.6, 1)), np.asarray(around(0.7, 2)))})
    assert ", worse, for 20%" in judge.goals({"evergreen": lost, "nightly": outcome("nightly", around(0.7), 100)}, "evergreen")[0]


def test_a_short_span_is_judged_by_days_and_a_long_one_by_weeks():
    assert judge.piece_days(Window.parse("2013-03-01/2013-03-15"), 1) == 1
    assert judge.piece_days(Window.parse("2013-03-01/2013-06-01"), 1) == 7
    assert judge.piece_days(Window.parse("2013-03-01/2013-06-01"), 14) == 14
