"""The search: same answers, same questions; a budget; nothing tried twice; better only when by more than the noise."""

import itertools

import numpy as np
import pytest

from ml.errors import DataError
from ml.problem import Training
from ml.problem.tune import Range, Tune
from ml.records import FoldScores
from ml.tune import curves, explore, ladder, search
from ml.tune.explore import Exploration
from ml.tune.stage import noise_of
from ml.tune.trial import Trial


def scored(value: float, losses=(0.6, 0.5), parameters: int = 100) -> FoldScores:
    history = {"loss": list(losses), "val_loss": list(losses)}
    return FoldScores(
        metric="auc", scores=(value,), value=value, deviation=0.01, epochs=(1,), history=history, num_parameters=parameters
    )


def walked(plan, evaluate, kept=(), **options) -> tuple[Exploration, list[list[Trial]]]:
    written: list[list[Trial]] = []
    exploration = Exploration(list(kept), seconds=options.pop("seconds", 60), keep=lambda trials: written.append(list(trials)))
    exploration.walk("search", plan, evaluate, sign=1, **options)
    return exploration, written


def by_dropout(values, seconds) -> FoldScores:
    return scored(1 - abs(values["dropout"] - 0.3))


def test_a_search_learns_where_to_look():
    def evaluate(values, seconds):
        right = (values["layers"] == [32]) - abs(values["dropout"] - 0.3) - 0.2 * abs(np.log10(values["learning_rate"]) + 2)
        return scored(right)

    spans = {"dropout": Range(low=0.0, high=0.9), "learning_rate": Range(low=1e-5, high=1.0, log=True)}
    tune = Tune(vary=spans | {"layers": Range(choices=((8,), (32,), (64, 32)))})
    exploration, _ = walked(search.plan(tune), evaluate, most=40)
    reached = [trial.scores.value for trial in exploration.trials if trial.scores]
    assert np.mean(reached[-10:]) > np.mean(reached[:10]) + 0.3  # at random both are alike
    assert all(1e-5 <= trial.values["learning_rate"] <= 1 for trial in exploration.trials)


def test_a_killed_search_goes_on_as_if_it_had_never_stopped():
    whole, _ = walked(search.plan(Tune()), by_dropout, most=14)
    before, _ = walked(search.plan(Tune()), by_dropout, most=6)
    asked = []

    def evaluate(values, seconds):
        asked.append(values)
        return by_dropout(values, seconds)

    after, _ = walked(search.plan(Tune()), evaluate, before.trials, most=14)
    assert [trial.values for trial in after.trials] == [trial.values for trial in whole.trials]
    assert asked == [trial.values for trial in whole.trials[6:]]


def test_trials_of_another_search_are_not_taken_for_its_own():
    before, _ = walked(search.plan(Tune(seed=2)), by_dropout, most=3)
    after, written = walked(search.plan(Tune(seed=1)), by_dropout, before.trials, most=3)
    assert len(written) == 3
    assert after.trials[0].values != before.trials[0].values


def test_a_trial_that_fails_is_told_and_the_search_goes_on():
    def evaluate(values, seconds):
        if values["dropout"] > 0.3:
            raise DataError("the loss is not finite")
        return by_dropout(values, seconds)

    exploration, written = walked(search.plan(Tune()), evaluate, most=12)
    failed = [trial for trial in exploration.trials if trial.scores is None]
    assert 0 < len(failed) < 12
    assert {trial.failure for trial in failed} == {"the loss is not finite"}
    assert [len(trials) for trials in written] == list(range(1, 13))


def test_no_room_for_a_search_is_no_search_without_end():
    exploration, _ = walked(explore.present(), lambda values, seconds: scored(0.5))

    def evaluate(values, seconds) -> FoldScores:
        raise AssertionError(f"{values} were tried")

    exploration.walk("search", search.plan(Tune(trials=1)), evaluate, sign=1, most=0)
    assert len(exploration.trials) == 1


def test_no_trial_begins_when_the_time_is_spent():
    kept = [Trial(number=0, kind="search", values={"dropout": 0.1}, scores=scored(0.5), seconds=59.0)]
    left = []

    def plan():
        yield {"dropout": 0.1}
        yield {"dropout": 0.2}
        yield {"dropout": 0.3}

    def evaluate(values, seconds):
        left.append(seconds)
        return by_dropout(values, seconds)

    walked(plan(), evaluate, kept, seconds=60)
    assert left[0] == pytest.approx(1.0)
    exploration, written = walked(plan(), evaluate, kept, seconds=59)
    assert (len(exploration.trials), written) == (1, [])


def climbed(overfits_from: int) -> list[Trial]:
    def evaluate(values, seconds):
        big = sum(values["layers"]) >= overfits_from and not any(values.get(name) for name in ("dropout", "l1", "l2"))
        return scored(0.6, losses=(0.6, 0.5, 0.7 if big else 0.5), parameters=sum(values["layers"]))

    exploration = Exploration([], seconds=60, keep=lambda trials: None)
    exploration.walk("present", explore.present(), lambda values, seconds: scored(0.6), sign=1)
    exploration.walk("ladder", ladder.plan(exploration.trials, Training()), evaluate, sign=1)
    return exploration.trials[1:]


def test_the_ladder_grows_until_it_overfits_and_then_restrains_that_rung():
    trials = climbed(overfits_from=64)
    rungs = list(itertools.takewhile(lambda trial: "patience" in trial.values, trials))
    assert [trial.values["layers"] for trial in rungs] == [[4], [16], [64]]
    restrained = trials[len(rungs) :]
    assert {tuple(trial.values["layers"]) for trial in restrained} == {(64,), (32,)}
    assert all(any(trial.values[name] for name in ("dropout", "l1", "l2")) for trial in restrained)


def test_a_ladder_that_never_overfits_ends_at_its_top():
    assert [trial.values["layers"] for trial in climbed(10**9) if "patience" in trial.values][-1] == list(ladder.RUNGS[-1])


def test_the_curves_are_a_picture(tmp_path):
    curves.draw(tmp_path / "ladder.png", climbed(64))
    assert (tmp_path / "ladder.png").read_bytes().startswith(b"\x89PNG")


def test_noise_of_a_difference_over_folds():
    one, other = (scored(0.7).model_copy(update={"scores": s}) for s in ((0.70, 0.72, 0.68), (0.69, 0.70, 0.68)))
    assert noise_of(one, other) == pytest.approx(0.01 * np.sqrt(1 / 3 + 1 / 2))  # Nadeau and Bengio 2003, equation 8


def test_noise_of_a_difference_on_one_fold_leaves_out_days_by_turns():
    one, other = (scored(0.7).model_copy(update={"left_out": s}) for s in ((0.70, 0.71, 0.72), (0.69, 0.69, 0.69)))
    differences = np.array([0.01, 0.02, 0.03])
    assert noise_of(one, other) == pytest.approx(np.sqrt(2 / 3 * np.sum((differences - 0.02) ** 2)))
    assert noise_of(scored(0.7), scored(0.6)) is None


@pytest.mark.parametrize(
    "given",
    [
        {}, {"choices": (1,), "low": 0.0, "high": 1.0}, {"low": 1.0}, {"low": 2.0, "high": 1.0},
        {"low": 0.0, "high": 1.0, "log": True},
    ],
)  # fmt: skip
def test_a_range_is_choices_or_two_numbers_in_order(given):
    with pytest.raises(ValueError, match=r"tune\.vary"):
        Range(**given)
