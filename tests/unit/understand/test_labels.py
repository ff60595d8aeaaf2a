"""Late labels, labels that were cut off, and rates that really moved: each told from the others."""

import numpy as np
import pyarrow as pa
import pytest

from ml.samples import SAMPLES
from ml.understand import label_findings, labels
from ml.understand.history import UNKNOWN, History, date_of, merge
from ml.understand.label_findings import Words
from ml.understand.sample import local_days
from tests.unit.understand.kit import DAY0, history

WORDS = Words("flights", "late")
DAYS = 300


def looked(past, until=None):
    """The checks `labels` and `rate`."""
    last = int((past.day + np.maximum(past.delay, 0)).max()) if until is None else DAY0 + until
    return label_findings.look(labels.facts(past, last), WORDS)


def sentences(looks):
    return [finding.sentence for look in looks for finding in look.findings]


def test_counting_loses_no_row():
    rng = np.random.default_rng(0)
    day, label, wait = rng.integers(0, 9, 500), rng.integers(-1, 2, 500), rng.integers(-1, 5, 500)
    whole = History.of(day, label, wait)
    parts = merge(History.of(day[part], label[part], wait[part]) for part in np.array_split(np.arange(500), 7))
    assert whole.num_rows == parts.num_rows == 500
    assert all((getattr(whole, name) == getattr(parts, name)).all() for name in ("day", "label", "delay", "rows"))
    assert whole.daily().positive.sum() == (label == 1).sum()


def test_all_labels_in_and_a_steady_rate_is_no_finding():
    assert sentences(looked(history(np.full(DAYS, 0.2)))) == []


def test_the_newest_days_without_labels_are_named():
    past = history(np.full(DAYS, 0.2), waits=(20, 20), until=DAYS - 1)
    (found,) = looked(past, DAYS - 1)[0].findings
    assert found.severity == "note"
    assert found.sentence.startswith("Labels of 2017-04-")
    assert f"to {date_of(DAY0 + DAYS - 1)} are not complete yet" in found.sentence


def test_a_delay_is_measured_where_labels_are_complete():
    wait = labels.delay(history(np.full(DAYS, 0.2), waits=(5, 40), until=DAYS - 1))
    assert wait is not None
    assert wait.median == pytest.approx(6, abs=3)
    assert wait.negative < 20 < 50 < wait.positive < 110


def test_labels_that_stopped_coming_are_a_warning():
    past = history(np.full(DAYS, 0.2), waits=(3, 3), until=DAYS - 60)
    (found,) = looked(past, DAYS - 1)[0].findings
    assert found.severity == "warning"
    assert "overdue" in found.sentence


def test_slow_positives_make_the_newest_rate_wrong_and_it_has_not_moved():
    past = history(np.full(DAYS, 0.2), waits=(5, 40), until=DAYS - 1)
    of_labels, of_rate = looked(past, DAYS - 1)
    bias = [finding for finding in of_labels.findings if finding.subject.startswith("rate")]
    assert len(bias) == 1
    assert "Positive labels come later" in bias[0].sentence
    assert "at equal label ages the rate has not moved" in bias[0].sentence
    assert bias[0].numbers["newest"] < 0.17 < 0.19 < bias[0].numbers["older_at_last"]
    assert of_rate.findings == ()


def test_quick_positives_show_too_high_a_rate():
    past = history(np.full(DAYS, 0.2), waits=(40, 5), until=DAYS - 1)
    bias = [finding for finding in looked(past, DAYS - 1)[0].findings if finding.subject.startswith("rate")]
    assert "Negative labels come later" in bias[0].sentence
    assert bias[0].numbers["newest"] > 0.25


def test_a_rate_that_moved_is_told_from_slow_labels():
    """The rate falls by half while slow positives hide others: at equal ages it has moved, too."""
    rates = np.where(np.arange(DAYS) < DAYS - 60, 0.2, 0.1)
    of_labels, of_rate = looked(history(rates, waits=(5, 40), until=DAYS - 1), DAYS - 1)
    assert any("at equal label ages the rate has moved, too" in finding.sentence for finding in of_labels.findings)
    assert len(of_rate.findings) == 1
    assert "really moved" in of_rate.findings[0].sentence


def test_a_rate_that_moved_with_quick_labels_is_no_late_label():
    rates = np.where(np.arange(DAYS) < DAYS - 40, 0.2, 0.1)
    of_labels, of_rate = looked(history(rates, waits=(2, 2)))
    assert of_labels.findings == ()
    assert "really moved: 10." in of_rate.findings[0].sentence or "really moved: 9." in of_rate.findings[0].sentence


def cut_off(rate=0.2, stop=60, seed=3):
    """Positives arrive after up to `stop` days; collecting ends with the last day, and who has not answered is a no."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(DAYS), 400)
    answered = day + rng.integers(0, stop, len(day)) < DAYS
    label = ((rng.random(len(day)) < rate) & answered).astype(np.int64)
    return History.of(DAY0 + day, label, np.full(len(day), stop + 15))


def test_labels_cut_off_at_the_end_are_serious_and_named_by_month():
    of_labels, of_rate = looked(cut_off())
    (found,) = of_labels.findings
    assert found.severity == "serious"
    assert "are incomplete although 100.0% of the rows have one" in found.sentence
    assert "in 2017-05" in found.sentence
    assert "cut off" in of_rate.unknown


@pytest.mark.parametrize("shape", ["level", "early", "rise"])
def test_what_is_no_cut_off(shape):
    place = np.arange(DAYS)
    rates = {
        "level": np.where(place < DAYS - 42, 0.2, 0.1),
        "early": np.clip(0.2 * (DAYS - place) / 200, 0.005, 0.2),
        "rise": np.where(place < DAYS - 42, 0.1, 0.1 + (place - DAYS + 42) / 200),
    }[shape]
    past = history(rates, waits=(25, 25), per_day=400)
    of_labels, of_rate = looked(past)
    assert not any("incomplete" in finding.sentence for finding in of_labels.findings)
    assert len(of_rate.findings) == (0 if shape == "early" else 1)  # a trend of the whole history is no move of the newest


def test_a_fall_that_the_mix_explains_is_no_cut_off():
    facts = labels.facts(cut_off(), DAY0 + DAYS + 80)
    (of_labels, of_rate) = label_findings.look(facts, WORDS, ("issue", 0.8))
    assert of_labels.findings == ()
    assert "changed mix of issue explains 80%" in of_rate.findings[0].matters


def test_a_strike_that_leaves_half_of_the_rows_without_label_is_no_late_label():
    past = history(np.full(60, 0.2), waits=(1, 1))
    strike = (past.day == DAY0 + 58) & (np.arange(len(past.day)) % 2 == 0)
    label = np.where(strike, UNKNOWN, past.label)
    struck = History(past.day, label, np.where(strike, UNKNOWN, past.delay), past.rows)
    assert struck.daily().labelled[58] < 0.8 * struck.daily().rows[58]
    assert sentences(looked(struck)) == []


@pytest.mark.parametrize("size", [0, 1, 2], ids=["no row", "one day", "two days"])
def test_little_history_is_not_assessable(size):
    of_labels, of_rate = looked(history(np.full(size, 0.2)), until=size + 100)
    assert of_rate.findings == ()
    assert of_rate.unknown
    assert (of_labels.unknown == "there are no rows") == (size == 0)


def test_rows_without_any_label_are_not_assessable():
    past = History.of(np.arange(10), np.full(10, UNKNOWN), np.full(10, UNKNOWN))
    of_labels, _ = looked(past)
    assert "none of 10 flights has a label" in of_labels.unknown


def counted(rows, event, label, known, zone):
    day, seen = local_days(rows[event], zone), local_days(rows[known], zone)
    truth = np.asarray(rows[label].cast(pa.int8()).fill_null(UNKNOWN).to_numpy(), np.int64)
    return History.of(day, truth, np.where(truth == UNKNOWN, UNKNOWN, seen - day))


@pytest.fixture(scope="module")
def flights():
    return counted(SAMPLES["flights"].read(None), "sched_dep", "late_15", "outcome_at", "America/New_York")


def test_real_flights_are_never_called_cut_off_whatever_the_night(flights):
    """Storms move the rate by a factor of five; labels are complete but for the last day."""
    cuts, first = 0, int(flights.day.min())
    for night in range(first + 14, first + 365, 5):
        past = flights.before(night)
        kept = past.day >= night - 60
        past = History(past.day[kept], past.label[kept], past.delay[kept], past.rows[kept])
        seen = past.day + past.delay <= night - 1
        past = History(past.day, np.where(seen, past.label, UNKNOWN), np.where(seen, past.delay, UNKNOWN), past.rows)
        found = labels.facts(past, night - 1)
        assert found.first_incomplete >= len(found.daily.rows) - 2
        cuts += bool(found.move and found.move.cut)
    assert cuts == 0


@pytest.fixture(scope="module")
def complaints(real_data):
    rows = SAMPLES["complaints"].read(real_data)
    return counted(rows, "date_received", "disputed", "disputed_at", "UTC")


@pytest.mark.real_data
def test_real_complaints_are_cut_off_at_the_end_and_nowhere_else(complaints):
    words = Words("complaints", "disputed")
    last = int((complaints.day + complaints.delay).max())
    (found,) = label_findings.look(labels.facts(complaints, last), words)[0].findings
    assert found.severity == "serious"
    assert "13.7% in 2017-03, 6.3% in 2017-04" in found.sentence
    end = int(np.datetime64("2017-03-12", "D").astype(np.int64))
    for night in range(end - 4 * 365, end, 28):
        past = complaints.before(night)
        move = labels.facts(past, night + 200).move
        assert not (move and move.cut), date_of(night)


@pytest.mark.real_data
def test_a_night_among_the_complaints_knows_which_labels_are_still_to_come(complaints):
    night = int(np.datetime64("2016-02-01", "D").astype(np.int64))
    seen = complaints.before(night - 15)
    kept = (seen.day >= night - 365) & (seen.day < night)
    known = seen.day + seen.delay <= night
    past = History(
        seen.day[kept], np.where(known, seen.label, UNKNOWN)[kept], np.where(known, seen.delay, UNKNOWN)[kept], seen.rows[kept]
    )
    of_labels, of_rate = label_findings.look(labels.facts(past, night - 1), Words("complaints", "disputed"))
    (found,) = of_labels.findings
    assert found.sentence.startswith("Labels of 2015-11-")
    assert "not complete yet" in found.sentence
    assert of_rate.findings == ()
