"""What would change for callers and for the machine that serves, in plain words."""

from collections.abc import Iterator

from ml.card.markdown import plain, table
from ml.problem import Problem
from ml.records import Effort, Efforts, Performance, Rehearsed

MEASURES = {
    "row_ms": ("answer to one row, usually", "ms"),
    "row_p99_ms": ("answer to one row, 1 in 100 takes longer", "ms"),
    "batch_ms": ("answer to {batch_rows} rows, usually", "ms"),
    "memory_mb": ("memory of a process", "MB"),
    "start_s": ("cold start", "s"),
    "size_mb": ("files", "MB"),
}
MOST_CHANGES, MOST_EXAMPLES = 3, 5
ODD = 1e-4  # the champion should say what it said


def section(problem: Problem, rehearsed: Rehearsed | None) -> str:
    """Empty where nothing was rehearsed."""
    if rehearsed is None:
        return ""
    return "\n\n".join(filter(None, (in_words(problem, rehearsed), _needs(rehearsed), _trained(rehearsed.training))))


def in_words(problem: Problem, rehearsed: Rehearsed) -> str:
    """What callers would notice."""
    return "## What changes for callers\n\n" + " ".join(filter(None, _sentences(problem, rehearsed)))


def examples(rehearsed: Rehearsed | None) -> str:
    """Single rows, where the problem lets them be shown."""
    shown = rehearsed.examples[:MOST_EXAMPLES] if rehearsed else ()
    lines = [(one.key or "", one.candidate, one.champion, ", ".join(f"{k} {v}" for k, v in one.row.items())) for one in shown]
    header = ("row", "candidate", "champion", "values")
    return table("Answered otherwise than by the champion", header, lines) if lines else ""


def _sentences(problem: Problem, rehearsed: Rehearsed) -> Iterator[str]:
    if rehearsed.added:
        yield f"**Callers must send {_named(rehearsed.added)} from now on.**"
    if rehearsed.dropped:
        yield f"**Callers must send {_named(rehearsed.dropped)} no more.**"
    yield _answers(problem, rehearsed)
    if rehearsed.num_refused:
        yield f"{rehearsed.num_refused:,} rows would be refused: {plain(rehearsed.refusal)}."
    if rehearsed.unlike_log is not None and rehearsed.unlike_log > ODD:
        yield f"The champion itself answers by up to {rehearsed.unlike_log:.3g} otherwise than it did then; find out why."


def _answers(problem: Problem, rehearsed: Rehearsed) -> str:
    rows, found, who = problem.problem.rows, rehearsed.difference, f"champion {rehearsed.champion_version}"
    if found is None:
        return (
            f"Not compared: {plain(rehearsed.champion_problem)}."
            if rehearsed.champion_problem
            else "There is no champion to compare with."
        )
    where = f"Of {found.num_rows:,} {rows}{_asked(rehearsed)}"
    sizes = f"Answers differ from those of {who} by {found.absolute:.3g} on average, by {found.largest:.3g} at most"
    mean = f"{sizes}; on average they {'rise' if found.mean > 0 else 'fall'} by {abs(found.mean):.2g}."
    if found.flips is None:
        return f"{where}: {mean[0].lower()}{mean[1:]}"
    shown = [f"{count:,} {change}" for change, count in list(found.changes.items())[:MOST_CHANGES]]
    more = ", and others" if len(found.changes) > MOST_CHANGES else ""
    told = f" ({', '.join(shown)}{more})" if shown else ""
    return f"{where} {found.flips:,} would be decided otherwise{told}. {mean}"


def _asked(rehearsed: Rehearsed) -> str:
    if rehearsed.asked == "test rows" or rehearsed.first is None or rehearsed.last is None:
        return f" of the test part ({rehearsed.why})"
    return f" that callers asked about, answered {rehearsed.first:%Y-%m-%d %H:%M} to {rehearsed.last:%Y-%m-%d %H:%M} UTC,"


def _needs(rehearsed: Rehearsed) -> str:
    """Time and memory side by side."""
    mine, theirs = rehearsed.candidate, rehearsed.champion
    lines = [
        (told.format(batch_rows=rehearsed.batch_rows), *_values(name, unit, mine, theirs))
        for name, (told, unit) in MEASURES.items()
    ]
    cores = " and ".join(dict.fromkeys(model.core for model in (mine, theirs) if model))
    header = ("what it takes", "candidate") + ((f"champion {rehearsed.champion_version}",) if theirs else ())
    note = "all imports included" if rehearsed.fresh else "from a process that has TensorFlow in memory, its import left out"
    return (
        table("What it takes", header, lines)
        + f"\n\nMeasured in turns on one machine, each in a process of its own ({cores}), without HTTP; cold start: {note}."
    )


def _trained(found: Efforts | None) -> str:
    """What the trainings took, and what may not be read out of it."""
    if found is None:
        return ""
    sides = (("candidate", found.candidate), ("champion", found.champion))
    lines = [(who, *_effort(one)) for who, one in sides if one]
    shown = table("What its training took", ("model", "CPU time", "on the clock", "rows times epochs"), lines)
    if found.problem:
        return f"{shown}\n\nNot compared: {found.problem}."
    if found.times is None or found.work is None:
        return shown
    each = f"{found.times:.2g} times the champion's CPU time, {found.times / found.work:.2g} times per row and epoch"
    note = "each was measured in its own night, so the clock says how busy that night was too; CPU time says so far less"
    return f"{shown}\n\n{each}; {note}."


def _effort(one: Effort) -> tuple[str, str, str]:
    cpu = f"{_amount(one.cpu_seconds)} s" if one.cpu_seconds is not None else "not recorded"
    return cpu, f"{_amount(one.seconds)} s", f"{one.row_epochs:,}" if one.row_epochs else "not recorded"


def _values(name: str, unit: str, *models: Performance | None) -> tuple[str, ...]:
    return tuple(f"{_amount(getattr(model, name))} {unit}" for model in models if model)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _named(columns: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in columns)
