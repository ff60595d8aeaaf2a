"""The card: right counts in plain words, everything a reviewer needs, and never too long for MLflow."""

from datetime import date, timedelta
from typing import Any

import pytest

from ml import card
from ml.records import (
    Changed,
    Difference,
    Effect,
    Example,
    Exported,
    FoldScores,
    Gap,
    Interval,
    Part,
    Prepared,
    Reference,
    Rehearsed,
    Scores,
    Trained,
)
from tests.integration.state_kit import NOW, make_evaluated, make_problem, make_verdict, problem_of
from tests.unit import test_gate_rehearsal as rehearsals

PART = Part(first=date(2013, 1, 1), last=date(2013, 1, 20), num_rows=800, positive_rate=0.24)
PREPARED = Prepared(
    valid_version=4, num_unlabelled=7, train=PART, validation=PART, test=PART, rows_digest="ab" * 32
)  # fmt: skip
TRAINED = Trained(
    model_digest="cd" * 32, num_parameters=1234, epochs=2, best_epoch=1, validation_loss=0.5, export_difference=0, seconds=1
)  # fmt: skip


DIFFERENCE = Difference(
    num_rows=2000, mean=0.003, absolute=0.012, p99=0.1, largest=0.21, flips=37,
    changes={"from no to yes": 21, "from yes to no": 16},
)  # fmt: skip


def rehearsed(**changes: Any) -> Rehearsed:
    return rehearsals.rehearsed(first=NOW - timedelta(days=1), last=NOW, **changes)


def render(evaluated=None, verdict=None, prepared=PREPARED, trained=TRAINED, rehearsed=None, **links):
    facts = (evaluated or make_evaluated(2), verdict or make_verdict(champion=2))
    text = card.render(card.Facts(make_problem("late"), "night-1", prepared, trained, *facts, links, rehearsed=rehearsed))
    assert len(text) < 5000
    return text.replace(card.GAP, "")


def test_says_in_plain_words_what_happens_on_a_usual_day():
    assert (
        "On a usual day of 920 flights it warns of 201, of which 121 are really late; it misses 97 late ones (4 in 10)."
    ) in render()


def test_shows_rules_models_slices_data_and_the_way_back():
    text = render()
    for part in (
        "# Will it be late?", "**Verdict: promote.**", "| against baseline linear | auc gain is too small | yes |", "champion 2",
        "baseline boosting", "0.7400 (0.7300 to 0.7500)", "| carrier=AA | 3,000 |",
        "version 4, snapshot `abababababab`",
        "python -m ml rollback --problem late", "`arr_delay`", "7 rows had no label yet",
    ):  # fmt: skip
        assert part in text, part


def test_says_when_the_validation_part_taught_too():
    assert "| stopped by | 2013-01-01" in render()
    assert "| stopped by, then learned from | 2013-01-01" in render(
        trained=TRAINED.model_copy(update={"training": {"refit": True}})
    )


def test_says_what_differential_privacy_promises_and_what_not():
    text = render(trained=TRAINED.model_copy(update={"epsilon": 1.784, "delta": 1e-5}))
    assert "less for a person with several: epsilon 1.78 at delta 1e-05. Not covered: vocabularies" in text
    assert "epsilon" not in render()


def test_says_what_the_protocol_found_and_how_sure_that_is():
    def told(**judged) -> str:
        about = {"metric": "auc", "value": 0.71234, "history": {}, "epochs": (2,), "num_parameters": 9}
        return render(trained=TRAINED.model_copy(update={"protocol": FoldScores(**about | judged)}))

    one = told(scores=(0.71234,), deviation=0.0123)
    assert "Validation (holdout): auc 0.7123 ± 0.0123 (whole days left out by turns)." in one
    assert "Validation (holdout, 2 folds): auc 0.7123 ± 0.0200 (fold to fold)." in told(scores=(0.7, 0.72), deviation=0.02)
    assert "auc 0.7123." in told(scores=(0.71234,), deviation=None)


def test_shows_what_smaller_forms_of_the_model_cost():
    about: Any = {"num_rows": 800, "published": True}
    exports = (
        Exported(
            target="savedmodel", file="saved_model", num_bytes=166_188, difference=1e-7, tolerance=1e-6, quality=0.74, **about
        ),
        Exported(
            target="litert_int8", file="i.tflite", num_bytes=15_536, difference=0.0043, tolerance=0.1, quality=0.7391, **about
        ),
        Exported(target="onnx", file="core.onnx", tolerance=1e-5, published=False, why="the converter failed: no kernel"),
    )
    text = render(trained=TRAINED.model_copy(update={"exports": exports}))
    assert "Exports, compared on 800 test rows" in text
    assert "| litert_int8 | 16 kB | 4.3e-03 (1e-01 allowed) | 0.7391 | yes |" in text
    assert "| no: the converter failed: no kernel |" in text
    assert "Exports" not in render(trained=TRAINED.model_copy(update={"exports": exports[:1]}))


def several(**changes):
    """An evaluation of a night that has everything: groups, features, examples, a reference set."""
    near = Interval(value=0.08, low=0.02, high=0.14)
    row = Example(kind="error", key="UA1", day=date(2013, 1, 31), label="1.00", candidate="0.02", row={"note": "a|b\nc"})
    full = {
        "gaps": (Gap(column="carrier", measure="share of right answers", gap=near, best="carrier=AA", worst="carrier=B6"),),
        "effects": (Effect(feature="delay", shuffled=0.05, missing=0.04, moved=0.123),),
        "examples": (row, row.model_copy(update={"kind": "flip", "key": "UA2", "champion": "0.60"})),
        "reference": Reference(
            name="night-0", num_rows=1200, first=date(2012, 1, 1), last=date(2012, 3, 1), rows_digest="ef" * 32,
            candidate=make_evaluated(2).candidate, champion=None,
        ),
    }  # fmt: skip
    return make_evaluated(2, **full | changes)


def test_tells_groups_features_examples_and_the_reference_rows():
    text = render(several())
    for part in (
        "| carrier | share of right answers | 0.0800 (0.0200 to 0.1400) | carrier=AA | carrier=B6 |",
        "| delay | 0.0500 | 0.0400 | 12.3% |", "| UA1 | 2013-01-31 | 1.00 | 0.02 |", "| note a\\|b c |",
        "| UA2 | 2013-01-31 | 1.00 | 0.02 | 0.60 |", "## Quality on 1,200 reference rows",
    ):  # fmt: skip
        assert part in text, part
    assert "champion on 1,200" not in text


def test_shows_no_single_row_unless_the_evaluation_lets_it():
    text = render(several(examples=()))
    assert not [heading for heading in ("Worst errors", "Decided otherwise than") if heading in text]


COUNTS = {"true_positive": 600, "false_positive": 100, "false_negative": 50, "true_negative": 5690}
TASKS: dict[str, Any] = {
    "multiclass": (
        {"label": "when"}, {"confusions": {"early": COUNTS, "late": COUNTS}}, {"early": 0.7, "late": 0.3},
        ("early 70.0%, late 30.0%", "it says the likeliest class", "it is right for 171"),
    ),
    "multilabel": (
        {"label": ("early", "late")}, {"confusions": {"early": COUNTS, "late": COUNTS}, "thresholds": (0.25, 0.5)},
        {"early": 0.7, "late": 0.3}, ("early 70.0%, late 30.0%", "it says yes to early from 0.250, late from 0.500 on"),
    ),
    "regression": (
        {"label": "minutes"}, {"misses": {"minutes": {"mean": 12.3, "half": 7.0, "nine_in_ten": 40.0}}}, {},
        ("| 14.2 on average |", "is off by 12 on average", "standard deviations", "| 31.5 (29.0 to 33.0) |"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_fits_every_task(task):
    about, found, means, told = TASKS[task]
    problem = problem_of(task, **about, **({"classes": ("early", "late")} if task == "multiclass" else {}))
    part = PART.model_copy(update={"means": means, "positive_rate": 14.2 if task == "regression" else 0.7})
    metric = Interval(value=31.5, low=29.0, high=33.0) if task == "regression" else Interval(value=0.7, low=0.6, high=0.8)
    scores = Scores(metrics={problem.success.metric: metric}, slices={"carrier=AA": metric})
    evaluated = make_evaluated(None, candidate=scores, baselines={"prior": scores}, **found)
    prepared = PREPARED.model_copy(update={"train": part, "validation": part, "test": part})
    text = card.render(card.Facts(problem, "night-1", prepared, TRAINED, evaluated, make_verdict())).replace(card.GAP, "")
    for one in told:
        assert one in text, one
    assert "from a probability of" not in text


def test_shows_two_plots_that_say_most():
    pictures = {name: f"get-artifact?path={name}" for name in ("history", "roc", "slices", "calibration")}
    facts = card.Facts(
        make_problem("late"), "night-1", PREPARED, TRAINED, make_evaluated(2), make_verdict(champion=2), pictures=pictures
    )  # fmt: skip
    assert "## Plots\n\n![calibration](get-artifact?path=calibration) ![roc](get-artifact?path=roc)" in card.render(facts)
    assert "## Plots" not in render()


def test_leads_on_to_what_a_reviewer_wants_to_see_next():
    text = render(**{"the run in Airflow": "http://airflow/dags/x", "the data": "http://airflow/data.html"})
    assert "## Links\n\n- [the run in Airflow](http://airflow/dags/x)\n- [the data](http://airflow/data.html)" in text
    assert "## Links" not in render()


def test_the_file_has_the_whole_card_and_the_page_what_fits_with_a_pointer_to_it():
    names = [f"destination=Airport number {number}" for number in range(59)]
    near = Interval(value=0.7, low=0.6, high=0.8)
    scores = make_evaluated(2).candidate.model_copy(update={"slices": dict.fromkeys(names, near)})
    evaluated = make_evaluated(2, candidate=scores, slice_gains={}, slice_rows=dict.fromkeys(names, 400))
    facts = card.Facts(make_problem("late"), "night-1", PREPARED, TRAINED, evaluated, make_verdict(champion=2), {"a": "http://a"})
    whole, page = card.render(facts, room=100_000), card.render(facts)
    assert len(page) <= card.LONGEST < len(whole)
    assert all(name in whole for name in names)
    assert "card.md" not in whole
    assert page.endswith(card.LEFT_OUT)
    assert "How to roll back" in page


def test_what_may_go_goes_before_what_must_stay_when_rules_alone_fill_the_page():
    rule = make_verdict("reject").rules[0]
    rules = tuple(rule.model_copy(update={"rule": f"rule {number}", "sentence": "s" * 240}) for number in range(12))
    facts = card.Facts(
        make_problem("late"), "night-1", PREPARED, TRAINED, make_evaluated(2),
        make_verdict("reject").model_copy(update={"rules": rules}), {"a": "http://a"},
    )  # fmt: skip
    page = card.render(facts)
    assert len(page) <= card.LONGEST
    assert "## Known limits" in page
    assert "## Slices" not in page


def test_the_essentials_tell_a_person_what_to_decide_on():
    text = card.essentials(make_problem("late"), PREPARED, make_evaluated(2), make_verdict(champion=2)).replace(card.GAP, "")
    asked = ("**Verdict: promote.**", "it warns of 201", "| against baseline linear |", "champion 2", "Judged on 800 flights")
    for part in asked:
        assert part in text, part


def test_a_broken_rule_is_marked():
    assert "| auc gain is too small | **no** |" in render(verdict=make_verdict("reject"))
    assert "may not replace the champion" in render(verdict=make_verdict("reject"))


def test_holds_nothing_that_mlflow_does_not_render():
    text = render()
    assert not any(part in text for part in ("<", "- [ ]", "data:"))


def test_stays_under_five_thousand_characters_and_shows_the_worst_slices_first():
    def near(value):
        return Interval(value=value, low=value - 0.01, high=value + 0.01)

    names = [f"destination=Airport number {number}" for number in range(300)]
    evaluated = make_evaluated(2)
    scores = evaluated.candidate.model_copy(update={"slices": {name: near(0.7) for name in names}})
    gains = {name: near(number / 1000) for number, name in enumerate(reversed(names))}
    evaluated = make_evaluated(2, candidate=scores, slice_gains=gains, slice_rows=dict.fromkeys(names, 400))
    verdict = make_verdict()
    many = tuple(verdict.rules[0].model_copy(update={"rule": f"slice {name}"}) for name in names)
    text = render(evaluated, verdict.model_copy(update={"rules": many}))
    assert len(text) < 5000
    assert "## Known limits" in text
    assert "## How to roll back" in text
    assert text.index("Airport number 299 |") < text.index("Airport number 298 |")
    assert "and 300 more, which hold" in text


def test_rules_that_matter_most_are_told_though_many_are_there():
    rule = make_verdict().rules[0]
    slices = [rule.model_copy(update={"rule": f"slice origin={name}"}) for name in range(40)]
    slices[7] = slices[7].model_copy(update={"holds": False})
    champion = rule.model_copy(update={"rule": "against the champion"})
    text = render(verdict=make_verdict("reject").model_copy(update={"rules": (*slices, champion)}))
    assert "| slice origin=7 | auc gain is too small | **no** |" in text
    assert "| against the champion |" in text
    assert "and 39 more, which hold" in text


def test_without_a_champion_the_weakest_slices_come_first():
    evaluated = make_evaluated(None)
    scores = evaluated.candidate.model_copy(
        update={"slices": {name: Interval(value=value, low=0.5, high=0.9) for name, value in {"a": 0.8, "b": 0.6}.items()}}
    )
    text = render(make_evaluated(None, candidate=scores, slice_gains={}), make_verdict(champion=None))
    assert text.index("| b |") < text.index("| a |")
    assert "gain over champion" not in text
    assert "It may become the first champion." in text


def test_days_that_people_took_out_are_told_with_their_rows():
    assert "were left out" not in render()
    out = PREPARED.model_copy(update={"excluded": (date(2013, 1, 5), date(2013, 1, 6)), "num_excluded": 1812})
    assert "1,812 rows were left out, because their days were excluded: 2013-01-05 to 2013-01-06." in render(prepared=out)


def test_says_what_changes_for_callers_and_what_it_takes():
    text = render(rehearsed=rehearsed(difference=DIFFERENCE))
    assert (
        "Of 2,000 flights that callers asked about, answered 2013-01-31 08:00 to 2013-02-01 08:00 UTC, 37 would be decided "
        "otherwise (21 from no to yes, 16 from yes to no). Answers differ from those of champion 3 by 0.012 on average, by 0.21 "
        "at most; on average they rise by 0.003."
    ) in text
    assert "| answer to one row, usually | 0.3 ms | 0.3 ms |" in text
    assert "| memory of a process | 80 MB | 80 MB |" in text
    assert "each in a process of its own (savedmodel), without HTTP; cold start: all imports included." in text
    assert "What changes for callers" not in render()


def test_says_what_the_training_took_and_what_that_means():
    text = render(rehearsed=rehearsed(training=rehearsals.efforts(3.0, 2.0)))
    assert "| candidate | 60 s | 70 s | 2,000 |" in text
    assert "| champion | 20 s | 30 s | 1,000 |" in text
    assert (
        "3 times the champion's CPU time, 1.5 times per row and epoch; each was measured in its own night, so the clock says how "
        "busy that night was too; CPU time says so far less."
    ) in text
    gone = rehearsals.efforts(champion=None, problem="the run folder of champion 3 has no record of its training any more")
    assert "Not compared: the run folder of champion 3 has no record" in render(rehearsed=rehearsed(training=gone))
    assert "What its training took" not in render(rehearsed=rehearsed())


def test_says_what_callers_must_change_and_what_is_refused():
    text = render(rehearsed=rehearsed(added=("hour",), dropped=("note",), num_refused=3, refusal="column 'x': expected a number"))
    for part in (
        "**Callers must send `hour` from now on.** **Callers must send `note` no more.**",
        "3 rows would be refused: column 'x': expected a number.",
    ):
        assert part in text


def test_says_when_the_champion_no_longer_answers_as_it_did():
    assert "answers by up to 0.2 otherwise than it did then" in render(rehearsed=rehearsed(unlike_log=0.2))
    assert "otherwise than it did" not in render(rehearsed=rehearsed(unlike_log=1e-7))


def test_says_what_was_rehearsed_without_a_champion_or_without_requests():
    first = rehearsed(champion=None, champion_version=None, difference=None, growth=[], asked="test rows", why="no log")
    text = render(rehearsed=first)
    assert "There is no champion to compare with." in text
    assert "| memory of a process | 80 MB |" in text
    gone = first.model_copy(update={"champion_version": 3, "champion_problem": "champion 3 cannot be rehearsed: gone"})
    assert "Not compared: champion 3 cannot be rehearsed: gone." in render(rehearsed=gone)
    assert "Of 2,000 flights of the test part (no log) 37 would" in render(
        rehearsed=rehearsed(asked="test rows", why="no log", difference=DIFFERENCE)
    )


def test_rows_that_change_stand_on_the_card_where_they_may():
    row = Changed(key="k1", candidate="0.7, which means yes", champion="0.2, which means no", row={"carrier": "AA"})
    assert "| k1 | 0.7, which means yes | 0.2, which means no | carrier AA |" in render(rehearsed=rehearsed(examples=(row,)))
    assert "Answered otherwise than by the champion" not in render(rehearsed=rehearsed())
