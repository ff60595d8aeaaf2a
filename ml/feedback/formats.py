"""Rows to label, and their labels, as CSV and as Label Studio's JSON: pure."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr  # it writes XML and reads none  # nosec B406

from ml.errors import DataError
from ml.feedback.answering import Answer
from ml.feedback.task import Task
from ml.problem import Problem
from ml.scoring import in_words

OWN = ("key", "why", "answered")
YES, NO = ("true", "yes", "1"), ("false", "no", "0")
FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # a spreadsheet would run a text that begins like this


def to_csv(tasks: Iterable[Task], problem: Problem) -> str:
    """One line per row: its key, why it is asked about, what was answered, the features, and empty columns for the labels."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([*OWN, *problem.features, *_label_columns(problem), "labeller"])
    for task in tasks:
        features = [_cell(task.row.get(name)) for name in problem.features]
        told = [_cell(text) for text in (task.key, task.why, in_words(task.answer))]
        writer.writerow([*told, *features, *("" for _ in _label_columns(problem)), ""])
    return out.getvalue()


def from_csv(text: str, problem: Problem, *, by: str) -> list[Answer]:
    """Answers from lines that have a label; lines without one are left out.

    Args:
        by: who labelled where the column `labeller` is empty.
    Raises: DataError: a column is missing, or a cell is no label; says which line.
    """
    lines = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    names = _label_columns(problem)
    missing = [name for name in ("key", *names) if name not in (lines.fieldnames or ())]
    if missing:
        raise DataError(f"The file has no column {missing[0]!r}. Expected key, {', '.join(names)}; `labels export` writes them.")
    found = []
    for line in lines:
        told = [(line[name] or "").strip() for name in names]
        if not any(told):
            continue
        values = [_read(text, problem, f"line {lines.line_num}, column {name}") for name, text in zip(names, told, strict=True)]
        label = dict(zip(names, values, strict=True)) if problem.task.several else values[0]
        found.append(Answer(_as_it_was(line["key"]), label, (line.get("labeller") or "").strip() or by))
    return found


def to_label_studio(tasks: Iterable[Task], problem: Problem, *, version: int) -> list[dict[str, Any]]:
    """Tasks with the model's answer as prediction, as Label Studio imports them; `label_studio_config` is their interface."""
    return [
        {
            "data": {
                "key": task.key,
                "why": task.why,
                "row": _told(task.row),
                **{name: _cell(one) for name, one in task.row.items()},
            },
            "predictions": [
                {
                    "model_version": f"{problem.name} version {version}",
                    **({} if problem.task.label == "number" else {"score": task.answer["score"]}),  # a probability, or none
                    "result": list(_results(task.answer, problem)),
                }
            ],
        }
        for task in tasks
    ]


def from_label_studio(content: Any, problem: Problem, *, by: str) -> list[Answer]:
    """Answers from what Label Studio exports as JSON; cancelled annotations, and tasks without one, are left out.

    Raises: DataError: another shape; says which task.
    """
    if not isinstance(content, list):
        raise DataError("The file is no list of tasks. Export it from Label Studio as JSON (not JSON-MIN).")
    found = []
    for number, task in enumerate(content):
        try:
            for one in task.get("annotations", ()):
                if not one.get("was_cancelled") and one.get("result"):
                    found.append(Answer(str(task["data"]["key"]), _label_of(one["result"], problem), _who(one, by)))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise DataError(f"Task {number} is not as Label Studio exports it ({error!r}). Export it as JSON.") from error
    return found


def label_studio_config(problem: Problem) -> str:
    """The labelling interface that the tasks need, as XML."""
    if problem.task.label == "number":
        asked = "".join(
            f'<Header value={quoteattr(name)}/><Number name={quoteattr(name)} toName="row"/>' for name in problem.outputs
        )
    else:
        several = "multiple" if problem.problem.task == "multilabel" else "single"
        choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in choices_of(problem))
        asked = f'<Choices name="label" toName="row" choice="{several}" showInline="true">{choices}</Choices>'
    return f'<View><Header value={quoteattr(problem.problem.title)}/><Text name="row" value="$row"/>{asked}</View>'


def choices_of(problem: Problem) -> tuple[str, ...]:
    """What can be chosen: yes and no, classes, or labels that hold."""
    return ("yes", "no") if problem.problem.task == "binary" else problem.outputs


def _label_columns(problem: Problem) -> tuple[str, ...]:
    return problem.outputs if problem.task.several else ("label",)


def _read(text: str, problem: Problem, where: str) -> Any:
    if problem.problem.task == "multiclass":
        return text
    if problem.task.label == "number":
        try:
            return float(text)
        except ValueError as error:
            raise DataError(f"{where}: {text!r} is no number.") from error
    small = text.lower()
    if small not in (*YES, *NO) and text != problem.problem.positive:
        raise DataError(f"{where}: {text!r} is neither yes nor no.")
    return small in YES or text == problem.problem.positive


def _results(answer: dict[str, Any], problem: Problem) -> Iterator[dict[str, Any]]:
    about = {"to_name": "row"}
    if problem.task.label == "number":
        for name in problem.outputs:
            number = answer["scores"][name] if "scores" in answer else answer["score"]
            yield about | {"from_name": name, "type": "number", "value": {"number": number}}
        return
    said = answer["decision"]
    chosen = said if isinstance(said, list) else [("yes" if said else "no") if isinstance(said, bool) else said]
    yield about | {"from_name": "label", "type": "choices", "value": {"choices": chosen}}


def _label_of(results: Sequence[dict[str, Any]], problem: Problem) -> Any:
    if problem.task.label == "number":
        told = {one["from_name"]: one["value"]["number"] for one in results}
        return told if problem.task.several else told[problem.outputs[0]]
    chosen = results[0]["value"]["choices"]
    if problem.problem.task == "multilabel":
        return chosen
    return {"yes": True, "no": False}[chosen[0]] if problem.problem.task == "binary" else chosen[0]


def _who(annotation: dict[str, Any], by: str) -> str:
    """Whoever is named: an e-mail address, or a number, which Label Studio gives its users."""
    who = annotation.get("completed_by")
    who = who.get("email") or who.get("id") if isinstance(who, dict) else who
    return by if who is None else f"label-studio:{who}"


def _told(row: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {'' if value is None else value}" for name, value in row.items())


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.lstrip("'").startswith(FORMULA) else value
    return "" if value is None else value if isinstance(value, int | float) else json.dumps(value)


def _as_it_was(cell: str) -> str:
    """A key without the apostrophe that `_cell` put before it."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell
