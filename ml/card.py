"""The card of a run: one page of Markdown that a reviewer reads beside the model, in words before numbers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ml import metrics
from ml.problem import Problem
from ml.records import Evaluated, Interval, Prepared, Rule, Scores, Trained, Verdict
from ml.window import spans
from ml.words import in_words

LONGEST = 4900  # characters; MLflow cuts a description at 5,000
MAX_SLICES = 60
LEFT_OUT = "\n\nThe whole card is `card.md` among the run's artifacts.\n"
GAP = "\N{EN SPACE}\N{ZERO WIDTH SPACE}"  # MLflow sets columns without space between them, and trims plain space
SPACE = "\n\n\N{ZERO WIDTH SPACE}"  # below a table; MLflow puts the next heading right under its last line
MAX_BROKEN = 12  # rules told in full
MOVES = {"promote": "may replace the champion", "reject": "may not replace the champion", "not assessable": "cannot be judged"}


class Part(NamedTuple):
    """One section. Where there is too little room, the parts of the highest rank go first; rank 0 always stays."""

    text: str
    rank: int = 0


@dataclass(frozen=True)
class Facts:
    """All that the card tells of a run."""

    problem: Problem
    run_key: str
    prepared: Prepared
    trained: Trained
    evaluated: Evaluated
    verdict: Verdict
    links: Mapping[str, str] = field(default_factory=dict)  # what a person may want to see next, and its address


def render(facts: Facts, *, room: int = LONGEST) -> str:
    """The card in the plain Markdown that MLflow's version page shows, at most `room` characters long.

    Slices are shown as far as there is room for; then whole sections go, those of the highest rank first.
    """
    for num_slices in range(MAX_SLICES, 0, -1):
        parts = list(_parts(facts, num_slices))
        if _length(parts) <= room:
            return _joined(parts) + ("\n" if len(facts.evaluated.candidate.slices) <= num_slices else LEFT_OUT)
    while _length(parts) > room and any(part.rank for part in parts):
        parts.remove(max(reversed(parts), key=lambda part: part.rank))
    text = _joined(parts) + LEFT_OUT
    return text if len(text) <= room else text[: room - len(LEFT_OUT)].rsplit("\n", 1)[0] + LEFT_OUT


def _joined(parts: Iterable[Part]) -> str:
    return "\n\n".join(part.text for part in parts)


def _length(parts: Iterable[Part]) -> int:
    return len(_joined(parts)) + len(LEFT_OUT)


def essentials(problem: Problem, prepared: Prepared, evaluated: Evaluated, verdict: Verdict) -> str:
    """What a person must know to say yes or no: the verdict, what it means in a day, the rules, the models side by side."""
    part = prepared.test
    judged_on = f"Judged on {part.num_rows:,} {problem.problem.rows} of {part.first} to {part.last}."
    return "\n\n".join([_decision(problem, evaluated, verdict), judged_on, _rules(verdict), _metrics(problem, evaluated)])


def _parts(facts: Facts, num_slices: int) -> Iterator[Part]:
    """Every section in the order of reading. A new one is one more line here."""
    problem, evaluated = facts.problem, facts.evaluated
    yield Part(_what(problem, facts.run_key))
    yield Part(_decision(problem, evaluated, facts.verdict))
    yield Part(_rules(facts.verdict))
    yield Part(_metrics(problem, evaluated))
    yield Part(_data(problem, facts.prepared, facts.trained))
    yield from _slices(problem, evaluated, num_slices)
    yield Part(_rollback(problem, evaluated))
    yield Part(_limits(problem, facts.prepared, evaluated))
    if facts.links:
        yield Part("## Links\n\n" + "\n".join(f"- [{name}]({address})" for name, address in facts.links.items()), rank=1)


def _decision(problem: Problem, evaluated: Evaluated, verdict: Verdict) -> str:
    return f"**Verdict: {verdict.decision}.** It {_move(verdict)}. {in_words(problem, evaluated)}"


def _what(problem: Problem, run_key: str) -> str:
    about = problem.problem
    return "\n\n".join(filter(None, (f"# {about.title}", about.description, f"Run `{run_key}`. Owner: {about.owner}.")))


def _move(verdict: Verdict) -> str:
    first = verdict.decision == "promote" and verdict.champion_version is None
    return "may become the first champion" if first else MOVES[verdict.decision]


def _rules(verdict: Verdict) -> str:
    """Broken rules first; of those that hold, the ones for slices are only counted, as slices have a table of their own."""
    broken = [rule for rule in verdict.rules if not rule.holds]
    held = [rule for rule in verdict.rules if rule.holds and not rule.rule.startswith("slice ")]
    shown = broken[:MAX_BROKEN] + held
    left = len(verdict.rules) - len(shown)
    more = f"\n\nand {left} more{' for slices, which hold' if len(broken) <= MAX_BROKEN else ''}." if left else ""
    return _table("Rules", ("rule", "found and asked", "holds"), map(_rule, shown)) + more


def _rule(rule: Rule) -> tuple[str, str, str]:
    return rule.rule, rule.sentence, "yes" if rule.holds else "**no**"


def _metrics(problem: Problem, evaluated: Evaluated) -> str:
    models: dict[str, Scores | None] = {
        "candidate": evaluated.candidate,
        f"champion {evaluated.champion_version or ''}".strip(): evaluated.champion,
        **{f"baseline {name}": scores for name, scores in evaluated.baselines.items()},
    }
    lines = [
        (_directed(name), *(_interval(scores.metrics.get(name)) if scores else "none" for scores in models.values()))
        for name in sorted(evaluated.candidate.metrics, key=lambda name: (name != problem.success.metric, name))
    ]
    title = f"Quality on {evaluated.num_rows:,} test rows, with {problem.gate.confidence:.0%} intervals"
    note = f"\n\nNo comparison with the champion: {evaluated.champion_problem}." if evaluated.champion_problem else ""
    return _table(title, ("metric", *models), lines) + note


def _directed(name: str) -> str:
    return name if metrics.better(name) > 0 else f"{name} (less is better)"


def _slices(problem: Problem, evaluated: Evaluated, num_slices: int) -> Iterator[Part]:
    """Slices, those with the least gain over the champion first, without one the weakest; the rest goes where room is short."""
    slices, gains = evaluated.candidate.slices, evaluated.slice_gains
    if not slices:
        return
    sign = metrics.better(problem.success.metric)
    names = sorted(slices, key=lambda name: ((gains[name].value if name in gains else float("inf")), sign * slices[name].value))
    header = ("slice", "rows", "candidate", *(("gain over champion",) if gains else ()))
    lines = [
        (
            name,
            f"{evaluated.slice_rows.get(name, 0):,}",
            _interval(slices[name]),
            *((_interval(gains.get(name)),) if gains else ()),
        )
        for name in names[:num_slices]
    ]
    order = "least gain" if gains else "weakest"
    title = f"Slices by {problem.success.metric}, {order} first"
    yield Part(_table(f"{title} ({len(lines)} of {len(names)})", header, lines), rank=2)


def _data(problem: Problem, prepared: Prepared, trained: Trained) -> str:
    parts = (("learned from", prepared.train), ("stopped by", prepared.validation), ("judged on", prepared.test))
    lines = [(name, f"{p.first} to {p.last}", f"{p.num_rows:,}", f"{p.positive_rate:.1%}") for name, p in parts]
    table = _table("Data", ("part", "days", problem.problem.rows, problem.problem.positive), lines)
    return (
        f"{table}\n\nFrom `{problem.source.place}`, table `valid` at version {prepared.valid_version}, snapshot "
        f"`{prepared.rows_digest[:12]}`. {trained.num_parameters:,} parameters, weights of epoch "
        f"{trained.best_epoch} of {trained.epochs}. Model `{trained.model_digest[:12]}`."
    )


def _rollback(problem: Problem, evaluated: Evaluated) -> str:
    back = f"version {evaluated.champion_version}" if evaluated.champion_version else "no earlier version yet"
    command = f"`python -m ml rollback --problem {problem.name}`"
    return f"## How to roll back\n\n{command} returns to the champion before ({back}); `docs/review.md` says more."


def _limits(problem: Problem, prepared: Prepared, evaluated: Evaluated) -> str:
    unused = ", ".join(f"`{name}`" for name in list(problem.leakage)[:8])
    limits = [
        f"Judged on {prepared.test.first} to {prepared.test.last} only; it says nothing about seasons outside its data.",
        f"Probabilities are off by {evaluated.calibration_error:.3f} on average; it says "
        f"{problem.problem.positive} from a probability of {evaluated.threshold:.3f} on.",
        f"{evaluated.flips:,} test rows would be decided otherwise than by the champion." if evaluated.champion else "",
        f"{prepared.num_excluded:,} rows were left out, because their days were excluded: {spans(prepared.excluded)}."
        if prepared.num_excluded
        else "",
        f"{prepared.num_unlabelled:,} rows had no label yet and taught nothing." if prepared.num_unlabelled else "",
        f"Never used, because they are known too late: {unused}." if unused else "",
        "Through MLflow numbers must be floats; missing columns and nulls are allowed.",
    ]
    return "## Known limits\n\n" + "\n".join(f"- {limit}" for limit in limits if limit)


def _table(title: str, header: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    rows = [_line(header), "| " + " | ".join((":--",) * len(header)) + " |", *map(_line, lines)]
    return f"## {title}\n\n" + "\n".join(rows) + SPACE


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") + GAP for cell in cells) + " |"


def _interval(interval: Interval | None) -> str:
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})" if interval else "none"
