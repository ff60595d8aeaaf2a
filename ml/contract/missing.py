"""What happened to the missing values: many more of them, a code or a default in their place, or one value everywhere."""

from ml.contract.record import Hypothesis
from ml.profile import ColumnProfile

MORE = 0.35  # share of rows that are missing, beyond the worst day recorded
CODES = {"-1", "-9", "-99", "-999", "-9999", "999", "9999", "99999", "999999", "-32768", "2147483647"}  # seldom real numbers
PERHAPS = {"0", "9", "99"}  # often real: only when the nulls went
WORDS = {"", "na", "n/a", "nan", "none", "null", "nil", "(null)", "\\n", "-", "--", "?"} | {
    *("unknown", "missing", "undefined", "not available"),
}
RULE = 0.9  # share of nulls from which on none at all is nothing new
PRESENT = 200  # rows with a value that must be there to speak of one value everywhere


def more_nulls(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """Missing far more often than on any day recorded."""
    worst = max(recorded.null_share, (recorded.day_nulls or (0.0, 0.0))[1])
    if now.null_share < worst + MORE and not (now.null_share == 1.0 and worst < RULE):
        return []
    if now.null_share == 1.0:
        sentence = f"{name} is empty: every value is missing; the source or a join stopped filling it"
        return [
            Hypothesis(cause="no value at all", sentence=sentence, score=0.95),
            Hypothesis(cause="outage", sentence=f"the system that delivers {name} was down in these days", score=0.5),
        ]
    shares = f"{now.null_share:.0%} of rows, {worst:.0%} on the worst day before"
    sentence = f"{name} is missing in {shares}: part of the source or a join failed"
    return [
        Hypothesis(cause="many more nulls", sentence=sentence, score=0.9),
        Hypothesis(
            cause="filled later", sentence=f"{name} is filled later than before: the newest rows still wait for it", score=0.4
        ),
    ]


def coded(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """A code such as -1 or 'NA', or a default, where nulls were."""
    if recorded.num_present < PRESENT:
        return []
    usual = (recorded.day_nulls or (recorded.null_share,))[0]  # of the day with the fewest nulls
    gone = recorded.null_share - now.null_share
    replaced = usual >= 0.01 and now.null_share <= 0.3 * usual
    found = []
    for value, count in now.values.items():
        share = count / max(now.num_rows, 1)
        gain = share - recorded.values.get(value, 0) / max(recorded.num_rows, 1)
        new, fits = gain >= 0.01 and gain >= 0.9 * share, replaced and 0.6 * gone <= gain <= 1.6 * gone
        if new and _is_code(value, recorded, now, fits):
            where = f"; it was missing in {recorded.null_share:.0%} before, in {now.null_share:.0%} now" if fits else ""
            sentence = f"missing values of {name} are written as {value!r}: {share:.1%} of rows have it, hardly any before{where}"
            found.append(Hypothesis(cause=f"nulls written as {value!r}", sentence=sentence, score=0.96 if fits else 0.85))
        elif fits and gain >= 0.05:
            sentence = f"missing values of {name} are filled with a default: {value!r} rose by {gain:.0%} of rows as nulls went"
            found.append(Hypothesis(cause="nulls filled with a default", sentence=sentence, score=0.9))
    return found


def _is_code(value: str, recorded: ColumnProfile, now: ColumnProfile, fits: bool) -> bool:
    """Whether a new value stands for nothing: by the word; of numbers, when it lies apart or nulls went for it."""
    if now.kind != "number":
        return value.strip().lower() in WORDS
    if value not in CODES or recorded.quantiles is None or now.quantiles is None:
        return fits and value in PERHAPS
    number = float(value)
    apart = (
        recorded.quantiles[0] >= 0 > number or number > 2 * recorded.quantiles[-1] > 0 or number < 2 * recorded.quantiles[0] < 0
    )
    return fits or apart


def constant(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """One value in every row, where there were several and none ruled."""
    usual = max(recorded.values.values(), default=0) / max(recorded.num_present, 1)
    ruled = 0.3 if now.kind == "number" else 0.8
    if now.distinct != 1 or recorded.distinct < 2 or usual >= ruled or now.num_present < PRESENT:
        return []
    value = next(iter(now.values), "")
    before = f"{recorded.distinct:,} different values before"
    sentence = f"{name} is {value!r} in every row ({before}): a default is written, or a filter or a join is wrong"
    return [Hypothesis(cause="one value only", sentence=sentence, score=0.95)]
