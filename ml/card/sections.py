"""The sections of the card; each is Markdown, empty when it has nothing to tell."""

from collections.abc import Mapping
from typing import Literal

from ml import metrics
from ml.card.markdown import bullets, interval, number, plain, table
from ml.card.words import in_words
from ml.problem import Problem
from ml.records import Evaluated, Example, Exported, Part, Prepared, Reference, Rule, Trained, Verdict
from ml.window import spans

MAX_BROKEN = 12  # rules told in full
MOST_FEATURES, MOST_EXAMPLES = 6, 5
PICTURES = ("calibration", "roc", "confusion", "answers", "slices", "features")  # those that say most first
MOST_PICTURES = 2
# the first words of rules whose numbers stand in tables of their own
TOLD_ELSEWHERE = ("slice ", "time for ", "slowest rows", "memory beside the champion", "cold start")
# and of those that only say something when they are broken
SILENT = (
    "labels that",
    "learned from",
    "unseen",
    "not constant",
    "answers as",
    "believable",
    "no feature",
    "not over",
    "answers what",
)
MOVES = {"promote": "may replace the champion", "reject": "may not replace the champion", "not assessable": "cannot be judged"}


def what(problem: Problem, run_key: str) -> str:
    """What the model is for, and whose it is."""
    about = problem.problem
    return "\n\n".join(filter(None, (f"# {about.title}", about.description, f"Run `{run_key}`. Owner: {about.owner}.")))


def decision(problem: Problem, evaluated: Evaluated, verdict: Verdict) -> str:
    """The verdict, and what the model's answers mean on a usual day."""
    first = verdict.decision == "promote" and verdict.champion_version is None
    move = "may become the first champion" if first else MOVES[verdict.decision]
    return f"**Verdict: {verdict.decision}.** It {move}. {in_words(problem, evaluated)}"


def rules(verdict: Verdict, *, brief: bool = False) -> str:
    """Broken rules first; of those that hold, the ones that a table of their own tells about are only counted.

    Args:
        brief: count those that hold and then say little, too.
    """
    counted = TOLD_ELSEWHERE + SILENT if brief else TOLD_ELSEWHERE
    broken = [rule for rule in verdict.rules if not rule.holds]
    held = [rule for rule in verdict.rules if rule.holds and not rule.rule.startswith(counted)]
    shown = broken[:MAX_BROKEN] + held
    left = len(verdict.rules) - len(shown)
    more = f"\n\nand {left} more{', which hold' if len(broken) <= MAX_BROKEN else ''}." if left else ""
    return table("Rules", ("rule", "found and asked", "holds"), map(_rule, shown)) + more


def _rule(rule: Rule) -> tuple[str, str, str]:
    return rule.rule, rule.sentence, "yes" if rule.holds else "**no**"


def quality(problem: Problem, evaluated: Evaluated) -> str:
    """The models side by side on the test rows."""
    title = f"Quality on {evaluated.num_rows:,} test rows, with {problem.gate.confidence:.0%} intervals"
    note = f"\n\nNo comparison with the champion: {plain(evaluated.champion_problem)}." if evaluated.champion_problem else ""
    return _models(title, problem, evaluated, evaluated) + note


def reference(problem: Problem, evaluated: Evaluated) -> str:
    """The same models side by side on the rows that no model has learned from."""
    fixed = evaluated.reference
    return _models(f"Quality on {fixed.num_rows:,} reference rows", problem, evaluated, fixed) if fixed else ""


def _models(title: str, problem: Problem, evaluated: Evaluated, judged: Evaluated | Reference) -> str:
    """One model a line; what there is not has no line."""
    names = sorted(evaluated.candidate.metrics, key=lambda name: (name != problem.success.metric, name))
    champion = f"champion {evaluated.champion_version or ''}".strip()
    models = {"**candidate**": judged.candidate, champion: judged.champion}
    models |= {f"baseline {name}": scores for name, scores in judged.baselines.items()}
    lines = [(model, *(interval(scores.metrics.get(name)) for name in names)) for model, scores in models.items() if scores]
    return table(title, ("model", *map(_directed, names)), lines)


def _directed(name: str) -> str:
    return name if metrics.better(name) > 0 else f"{name} (less is better)"


def data(problem: Problem, prepared: Prepared, trained: Trained) -> str:
    """Which rows taught, stopped and judged, and where exactly they are."""
    stopped = "stopped by, then learned from" if trained.training.get("refit") else "stopped by"
    parts = (("learned from", prepared.train), (stopped, prepared.validation), ("judged on", prepared.test))
    lines = [(name, f"{part.first} to {part.last}", f"{part.num_rows:,}", _mean(problem, part)) for name, part in parts]
    label = problem.problem.positive if problem.problem.task == "binary" else "label"
    shown = table("Data", ("part", "days", problem.problem.rows, label), lines)
    return (
        f"{shown}\n\nFrom `{problem.source.place}`, table `valid` at version {prepared.valid_version}, snapshot "
        f"`{prepared.rows_digest[:12]}`. {trained.num_parameters:,} parameters, weights of epoch "
        f"{trained.best_epoch} of {trained.epochs}. Model `{trained.model_digest[:12]}`.{_validation(problem, trained)}"
    )


def _validation(problem: Problem, trained: Trained) -> str:
    """What the protocol found, and its own noise."""
    judged = trained.protocol
    if judged is None:
        return ""
    folds = len(judged.scores)
    noise = "fold to fold" if folds > 1 else "whole days left out by turns"
    told = "" if judged.deviation is None else f" ± {judged.deviation:.4f} ({noise})"
    by = problem.split.protocol + (f", {folds} folds" if folds > 1 else "")
    return f" Validation ({by}): {judged.metric} {judged.value:.4f}{told}."


def _mean(problem: Problem, part: Part) -> str:
    """Share of yes or of each class, or mean of a number."""
    form = "{:,.1f} on average" if problem.task.label == "number" else "{:.1%}"
    means = part.means or {"": part.positive_rate}
    return ", ".join(f"{name} {form.format(value)}".strip() for name, value in means.items())


def slices(problem: Problem, evaluated: Evaluated, num_slices: int) -> str:
    """Those with the least gain over the champion first, without one the weakest."""
    found, gains = evaluated.candidate.slices, evaluated.slice_gains
    if not found:
        return ""
    sign = metrics.better(problem.success.metric)
    names = sorted(found, key=lambda name: ((gains[name].value if name in gains else float("inf")), sign * found[name].value))
    shown = names[:num_slices]
    columns = {
        "slice": shown,
        "rows": [f"{evaluated.slice_rows.get(name, 0):,}" for name in shown],
        "candidate": [interval(found[name]) for name in shown],
    } | ({"gain over champion": [interval(gains.get(name)) for name in shown]} if gains else {})
    order = "least gain" if gains else "weakest"
    title = f"Slices by {problem.success.metric}, {order} first ({len(shown)} of {len(names)})"
    return table(title, tuple(columns), zip(*columns.values(), strict=True))


def groups(evaluated: Evaluated) -> str:
    """How differently the groups of protected columns are served."""
    lines = [(gap.column, gap.measure, interval(gap.gap), gap.best, gap.worst) for gap in evaluated.gaps]
    header = ("column", "measure", "largest gap", "best served", "worst served")
    return table("Groups that must be served alike", header, lines) if lines else ""


def features(problem: Problem, evaluated: Evaluated) -> str:
    """What the most telling features are worth, and what happens without them."""
    shown = evaluated.effects[:MOST_FEATURES]
    lines = [(one.feature, number(one.shuffled), number(one.missing), f"{one.moved:.1%}") for one in shown]
    header = ("feature", "loss when dealt out anew", "loss when missing", "decided otherwise then")
    title = f"Features by loss of {problem.success.metric} ({len(shown)} of {len(evaluated.effects)})"
    return table(title, header, lines) if lines else ""


def exports(problem: Problem, trained: Trained) -> str:
    """The other forms of the model: what they save, and what that costs."""
    lines = [(one.target, f"{one.num_bytes / 1000:,.0f} kB", *_compared(one), _published(one)) for one in trained.exports]
    rows = f" on {trained.exports[0].num_rows:,} test rows" if lines else ""
    header = ("form", "size", "largest difference", problem.success.metric, "published")
    return table(f"Exports, compared{rows}", header, lines) if len(lines) > 1 else ""


def _compared(one: Exported) -> tuple[str, str]:
    """Difference from the SavedModel (of the SavedModel, from the network), and quality; empty where nothing was compared."""
    difference = "" if one.difference is None else f"{one.difference:.1e} ({one.tolerance:.0e} allowed)"
    return difference, "" if one.quality is None else number(one.quality)


def _published(one: Exported) -> str:
    return "yes" if one.published else f"no: {one.why}"


def examples(evaluated: Evaluated, kind: Literal["error", "flip"]) -> str:
    """Single rows, where the problem lets them be shown."""
    shown = [one for one in evaluated.examples if one.kind == kind][:MOST_EXAMPLES]
    title = {"error": "Worst errors", "flip": "Decided otherwise than by the champion"}[kind]
    lines = [(one.key, str(one.day), one.label, one.candidate, one.champion, _row(one)) for one in shown]
    return table(title, ("row", "day", "label", "candidate", "champion", "values"), lines) if lines else ""


def _row(example: Example) -> str:
    return ", ".join(f"{name} {value}" for name, value in example.row.items())


def plots(found: Mapping[str, str]) -> str:
    """The pictures that fit the page; all are among the run's files."""
    shown = [name for name in PICTURES if name in found][:MOST_PICTURES]
    return "## Plots\n\n" + " ".join(f"![{name}]({found[name]})" for name in shown) if shown else ""


def rollback(problem: Problem, evaluated: Evaluated) -> str:
    """How to undo a promotion."""
    back = f"version {evaluated.champion_version}" if evaluated.champion_version else "no earlier version yet"
    command = f"`python -m ml rollback --problem {problem.name}`"
    return f"## How to roll back\n\n{command} returns to the champion before ({back}); `docs/review.md` says more."


def limits(problem: Problem, prepared: Prepared, evaluated: Evaluated, trained: Trained) -> str:
    """What a reviewer must not believe of the model."""
    unused = ", ".join(f"`{name}`" for name in list(problem.leakage)[:8])
    excluded = f"{prepared.num_excluded:,} rows were left out, because their days were excluded: {spans(prepared.excluded)}."
    return bullets(
        "Known limits",
        (
            f"Judged on {prepared.test.first} to {prepared.test.last} only; it says nothing about seasons outside its data.",
            _calibration(problem, evaluated),
            f"{evaluated.flips:,} test rows would be decided otherwise than by the champion." if evaluated.champion else "",
            _privacy(problem, trained),
            excluded if prepared.num_excluded else "",
            f"{prepared.num_unlabelled:,} rows had no label yet and taught nothing." if prepared.num_unlabelled else "",
            f"Never used, because they are known too late: {unused}." if unused else "",
            "Through MLflow numbers must be floats; missing columns and nulls are allowed.",
        ),
    )


def _privacy(problem: Problem, trained: Trained) -> str:
    """What differential privacy promises here, and what it does not cover."""
    if trained.epsilon is None:
        return ""
    return (
        f"Weights are differentially private for single {problem.problem.rows}, less for a person with several: epsilon "
        f"{trained.epsilon:.2f} at delta {trained.delta:.0e}. Not covered: vocabularies and statistics of the features, rates of "
        "the labels, number of epochs, thresholds, and all figures here."
    )


def _calibration(problem: Problem, evaluated: Evaluated) -> str:
    """How far its answers are off on average, and from when on it says what."""
    if problem.task.label == "number":
        return f"Its answers are off by {evaluated.calibration_error:.3f} standard deviations on average, at their own level."
    off = f"Probabilities are off by {evaluated.calibration_error:.3f} on average; it says"
    if problem.task.label == "category":
        return f"{off} the likeliest class."
    if not problem.task.several:
        return f"{off} {problem.problem.positive} from a probability of {evaluated.threshold:.3f} on."
    told = ", ".join(f"{name} from {value:.3f}" for name, value in zip(problem.outputs, evaluated.thresholds, strict=True))
    return f"{off} yes to {told} on."


def links(found: Mapping[str, str]) -> str:
    """Where to look next."""
    return bullets("Links", (f"[{name}]({address})" for name, address in found.items())) if found else ""
