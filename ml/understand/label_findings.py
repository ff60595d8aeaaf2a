"""What the labels' facts mean, in words."""

from dataclasses import dataclass

import numpy as np

from ml.understand.findings import Finding, Look
from ml.understand.history import Daily, date_of, month_starts
from ml.understand.labels import FEWEST_BASE, Ages, Delay, Facts, Move

MOST_MONTHS = 4  # named one by one


@dataclass(frozen=True)
class Words:
    """What the problem calls its rows and a positive one."""

    rows: str
    positive: str


def look(facts: Facts, words: Words, explained: tuple[str, float] | None = None) -> list[Look]:
    """The checks `labels` and `rate`.

    Args:
        explained: the column whose mix of values explains most of a falling rate, and the share of the fall it explains.
    """
    daily = facts.daily
    if daily.labelled.sum() == 0:
        why = f"none of {daily.rows.sum():,} {words.rows} has a label" if daily.rows.sum() else "there are no rows"
        return [Look("labels", unknown=why), Look("rate", unknown=why)]
    found = [*_incomplete(facts, words), *_biased(facts, words)]
    cut = facts.move if facts.move and facts.move.cut and not _by_mix(explained) else None
    if cut:
        found.insert(0, _cut_off(facts, cut, words, explained))
    labels = Look("labels", tuple(found), clean=f"{daily.labelled.sum():,} labels; {delay_words(facts.delay)}")
    return [labels, _rate(facts, cut, words, explained)]


def delay_words(wait: Delay | None) -> str:
    """How long labels take."""
    if wait is None:
        return "when a label became known is not recorded"
    if wait.days <= wait.median:
        return f"98 in 100 labels come within {days_words(wait.days)} of the event"
    return f"half of the labels come within {days_words(wait.median)} of the event, 98 in 100 within {days_words(wait.days)}"


def _incomplete(facts: Facts, words: Words) -> list[Finding]:
    """The newest days wait for labels."""
    daily, first = facts.daily, facts.first_incomplete
    if first == len(daily.rows):
        return []
    rows, labelled = int(daily.rows[first:].sum()), int(daily.labelled[first:].sum())
    wait = facts.delay.days if facts.delay else 0
    overdue = facts.until - (daily.first + len(daily.rows) - 1) >= wait + 7 or len(daily.rows) - first > wait + 7
    when = _when(daily.first + first, daily.first + len(daily.rows) - 1)
    return [
        Finding(
            check="labels",
            severity="warning" if overdue else "note",
            subject=f"labels {when}",
            sentence=f"Labels of {when} are {'overdue' if overdue else 'not complete yet'}: {labelled:,} of {rows:,} "
            f"{words.rows} have one.",
            matters=f"Labels come late: {delay_words(facts.delay)}. Rows without a label teach nothing and judge nothing; a "
            "model is always older than the newest row by this much. Rates of these days rest on the labels that came early.",
            todo="Find out why the labels stopped coming."
            if overdue
            else "Nothing to do, as long as these days stay out of training and test.",
            numbers={"rows": rows, "labelled": labelled, "median_delay_days": facts.delay.median if facts.delay else None},
        )
    ]


def _biased(facts: Facts, words: Words) -> list[Finding]:
    """Labels that come early say something else than all labels."""
    ages, wait = facts.ages, facts.delay
    if ages is None or wait is None or not ages.biased:
        return []
    slow = "Positive" if ages.as_young < ages.at_last else "Negative"
    since = _when(ages.first, facts.daily.first + len(facts.daily.rows) - 1)
    return [
        Finding(
            check="labels",
            severity="warning",
            subject=f"rate {since}",
            sentence=f"{slow} labels come later than the others (98 in 100 within {days_words(wait.positive)} if "
            f"{words.positive}, {days_words(wait.negative)} if not), so the rate of {since} is wrong: {ages.newest:.1%} of the "
            f"labels known so far are {words.positive}. {_same_age(ages)}",
            matters="Learning from or judging on half-labelled days takes the labels that came early for all of them.",
            todo=f"Leave rows out until their label has had its time, {days_words(wait.days)}; a [source] label_time that says "
            "when a label is final does that.",
            numbers={"newest": ages.newest, "older_at_same_age": ages.as_young, "older_at_last": ages.at_last},
        )
    ]


def _same_age(ages: Ages) -> str:
    told = f"Older rows looked the same at that age ({ages.as_young:.1%}) and reached {ages.at_last:.1%} in the end"
    if ages.moved:
        told = f"Older rows showed {ages.as_young:.1%} at that age, and {ages.at_last:.1%} in the end"
        return f"{told}: at equal label ages the rate has moved, too."
    return f"{told}: at equal label ages the rate has not moved."


def _cut_off(facts: Facts, cut: Move, words: Words, explained: tuple[str, float] | None) -> Finding:
    """Labels stopped being collected while some were still to come."""
    wait, when = facts.delay, _when(cut.first, cut.last)
    within = f", within the {days_words(wait.days)} that a label takes here" if wait else ""
    tail = slice(cut.first - facts.daily.first, cut.last + 1 - facts.daily.first)
    labelled = facts.daily.labelled[tail].sum() / max(facts.daily.rows[tail].sum(), 1)
    mix = ""
    if explained:
        mix = f" A changed mix of {explained[0]} explains {explained[1]:.0%} of the fall." if explained[1] >= 0.05 else (
            " No change in the mix of values explains it."
        )  # fmt: skip
    return Finding(
        check="labels",
        severity="serious",
        subject=f"labels {when}",
        sentence=f"Labels of {when} are incomplete although {labelled:.1%} of the rows have one: {cut.before:.1%} of the "
        f"{words.rows} were {words.positive} before, then {_months(facts.daily, cut.first)}, falling step by step up to the "
        "last day.",
        matters=f"The fall begins {days_words(cut.last + 1 - cut.first)} before the data end{within}, and goes on to the very "
        "last day: this is what it looks like when answers are no longer collected, and whoever had not answered yet counts "
        f"as a no.{mix} A rate that really moved would have stopped somewhere.",
        todo=f"Do not learn from or judge on {words.rows} from {date_of(cut.first)} on; where collecting ended, leave those "
        "labels empty for everything younger than the time a label takes.",
        numbers={"before": cut.before, "newest": cut.newest, "explained_by_mix": explained[1] if explained else None},
    )


def _rate(facts: Facts, cut: Move | None, words: Words, explained: tuple[str, float] | None) -> Look:
    """Whether the class balance really moved, which late labels must not be taken for."""
    ages, move = facts.ages, facts.move
    if cut:
        return Look("rate", unknown="the newest labels are cut off, so whether the rate moved as well cannot be said")
    if move:
        return Look("rate", (_moved(facts, move, words, explained),))
    if ages and ages.moved and not (facts.delay and facts.delay.days <= 1):
        return Look("rate", (_moved_at_equal_ages(facts, ages, words),))
    if len(facts.daily.rows) < FEWEST_BASE + 4:
        return Look("rate", unknown=f"{len(facts.daily.rows)} days are too few to compare the newest with")
    return Look("rate", clean="the newest days with complete labels lie within the usual range")


def _moved(facts: Facts, move: Move, words: Words, explained: tuple[str, float] | None) -> Finding:
    why = "The labels of these days are as complete as ever, so this is no effect of late labels."
    if _by_mix(explained) and explained:
        why = f"A changed mix of {explained[0]} explains {explained[1]:.0%} of it. {why}"
    return Finding(
        check="rate",
        severity="note",
        subject=f"rate {_when(move.first, move.last)}",
        sentence=f"The rate really moved: {move.newest:.1%} of the {words.rows} of {_when(move.first, move.last)} are "
        f"{words.positive}, {move.before:.1%} before.",
        matters=f"{why} A model made before promises the old rate.",
        todo="Look whether the model's promised rate still holds (the monitor does); retrain when these days have taught it.",
        numbers={"before": move.before, "newest": move.newest},
    )


def _moved_at_equal_ages(facts: Facts, ages: Ages, words: Words) -> Finding:
    since = _when(ages.first, facts.daily.first + len(facts.daily.rows) - 1)
    return Finding(
        check="rate",
        severity="note",
        subject=f"rate {since}",
        sentence=f"The rate really moved: {ages.newest:.1%} of the labels known so far of {since} are {words.positive}, "
        f"{ages.as_young:.1%} of older {words.rows} when their labels were as young.",
        matters="Both are compared at equal label ages, so this is no effect of late labels. A model made before promises the "
        "old rate.",
        todo="Look whether the model's promised rate still holds (the monitor does); retrain when these days have taught it.",
        numbers={"newest": ages.newest, "older_at_same_age": ages.as_young},
    )


def _by_mix(explained: tuple[str, float] | None) -> bool:
    return explained is not None and explained[1] > 0.5


def _months(daily: Daily, first: int) -> str:
    """`13.7 % in 2017-03, 6.3 % in 2017-04`: whole months, from the one in which `first` lies."""
    starts = month_starts(daily.first, len(daily.rows))
    begins = int(np.searchsorted(starts, first - daily.first, side="right")) - 1
    months = daily.grouped(starts)
    chosen = range(max(begins, len(starts) - MOST_MONTHS), len(starts))
    return ", ".join(f"{months.rate[place]:.1%} in {date_of(daily.first + int(starts[place]))[:7]}" for place in chosen)


def _when(first: int, last: int) -> str:
    return date_of(first) if first == last else f"{date_of(first)} to {date_of(last)}"


def days_words(number: float) -> str:
    """A number of days; all within the first day is a day."""
    return "a day" if number in (0, 1) else f"{number:.0f} days"
