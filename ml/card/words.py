"""What a model's answers mean on a usual day, in counts that a person can picture; every number is from the rows judged on."""

from collections.abc import Iterable

from ml.problem import Problem
from ml.records import Evaluated

ROWS_A_DAY = 10  # with fewer the counts are of the whole test period
MOST = 4  # classes or labels told one by one, those with most rows first


def in_words(problem: Problem, evaluated: Evaluated) -> str:
    """The paragraph that a reviewer reads first."""
    task = problem.problem.task
    told = {"binary": _warned, "multiclass": _classes, "multilabel": _labels}.get(task, _numbers)
    return _when(problem, evaluated) + " " + told(problem, evaluated)


def _when(problem: Problem, evaluated: Evaluated) -> str:
    by_day = _per(evaluated) == evaluated.days
    when = "On a usual day" if by_day else f"In the {evaluated.days} test days"
    return f"{when} of {_count(evaluated.num_rows, evaluated)} {problem.problem.rows}"


def _per(evaluated: Evaluated) -> int:
    return evaluated.days if evaluated.num_rows >= ROWS_A_DAY * evaluated.days else 1


def _count(number: float, evaluated: Evaluated) -> str:
    return f"{round(number / _per(evaluated)):,}"


def _warned(problem: Problem, evaluated: Evaluated) -> str:
    said, right, missed, share = _told(evaluated.confusion, evaluated)
    positive = problem.problem.positive
    return f"it warns of {said}, of which {right} are really {positive}; it misses {missed} {positive} ones ({share})."


def _told(found: dict[str, int], evaluated: Evaluated) -> tuple[str, str, str, str]:
    """How often it says so, how often rightly, how many it misses, and how many in ten of the real ones these are."""
    true, missed = found["true_positive"], found["false_negative"]
    said, right, lost = (_count(count, evaluated) for count in (true + found["false_positive"], true, missed))
    return said, right, lost, in_ten(missed, true + missed)


def _classes(problem: Problem, evaluated: Evaluated) -> str:
    """How many are right, and class by class what it says, what of that is right and what it misses."""
    found = evaluated.confusions
    right = sum(one["true_positive"] for one in found.values())
    told = ((name, *_told(one, evaluated)) for name, one in _largest(found))
    each = [
        f"it says {name} {said} times, right in {hit}, and misses {missed} ({share})" for name, said, hit, missed, share in told
    ]
    return f"it is right for {_count(right, evaluated)} ({in_ten(right, evaluated.num_rows)}): {_listed(each, len(found))}."


def _labels(problem: Problem, evaluated: Evaluated) -> str:
    told = ((name, *_told(one, evaluated)) for name, one in _largest(evaluated.confusions))
    each = [
        f"of {name} it warns {said} times, rightly {hit}, and misses {missed} ({share})"
        for name, said, hit, missed, share in told
    ]
    return _listed(each, len(evaluated.confusions)) + "."


def _numbers(problem: Problem, evaluated: Evaluated) -> str:
    """Half and nine in ten of the rows: how far the answer is off at most."""
    half, most = (_count(evaluated.num_rows * share, evaluated) for share in (0.5, 0.9))
    each = [
        f"{name} is off by {_amount(one['mean'])} on average, by at most {_amount(one['half'])} for {half} of them "
        f"and by at most {_amount(one['nine_in_ten'])} for {most}"
        for name, one in evaluated.misses.items()
    ]
    return _listed(each[:MOST], len(each)) + "."


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _largest(found: dict[str, dict[str, int]]) -> list[tuple[str, dict[str, int]]]:
    return sorted(found.items(), key=lambda one: -(one[1]["true_positive"] + one[1]["false_negative"]))[:MOST]


def _listed(each: Iterable[str], number: int) -> str:
    told = list(each)
    return "; ".join(told) + (f"; and {number - len(told)} more" if number > len(told) else "")


def in_ten(part: int, whole: int) -> str:
    """A share as people say it."""
    if whole == 0:
        return "there were none"
    tenths = round(10 * part / whole)
    return "fewer than 1 in 10" if tenths == 0 and part else f"{tenths} in 10"
