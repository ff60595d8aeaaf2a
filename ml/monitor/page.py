"""The page for people: what was decided, then Evidently's view of the same cells and of the live quality."""

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from ml import drift
from ml.context import Context
from ml.drift import Cells
from ml.ledger import Champion
from ml.monitor import finding, shifts
from ml.monitor.evidence import Evidence
from ml.monitor.sample import choose
from ml.problem import Drift
from ml.records import Evaluated, Monitored
from ml.snapshot import SCORES

if TYPE_CHECKING:
    import pandas as pd

PAGE, SCORE = "monitor.html", "predicted score"
LONGEST = 30  # characters of a cell's name that a chart has room for
MOST = 10_000  # rows of a side that are drawn
NATURAL = math.sqrt(math.log(2))  # Evidently takes natural logarithms: its distance is ours times this
HARMLESS = str.maketrans({"<": "‹", ">": "›", "&": "＆"})  # Evidently writes values into a script unescaped
STYLE = (
    "<style>.evergreen{font:15px/1.5 sans-serif;max-width:1100px;margin:1.5em auto;padding:0 1em}"
    ".evergreen td,.evergreen th{text-align:left;padding:.2em .8em .2em 0;vertical-align:top}"
    ".evergreen .drift{color:#b00020;font-weight:bold}.evergreen .none{color:#666}</style>"
)


@dataclass(frozen=True)
class Section:
    """One Evidently report: its title, its parts of the page, and how many tests it ran."""

    title: str
    widgets: list[Any]
    tests: list[Any]


def write(context: Context, record: Monitored, champion: Champion | None, evidence: Evidence | None) -> None:
    """Draw the monitor's record and what it rests on; there is a page also when nothing could be judged."""
    sections = _sections(context, champion, evidence) if champion and evidence else []
    page = _with_header(_render(sections), _header(context, record))
    context.store.write(context.name(PAGE), page.encode())


def drift_section(compared: dict[str, Cells], policy: Drift) -> Section:
    """Evidently's Jensen-Shannon distance of columns given as cells, with its tests at the same limit as ours.

    Cells, not raw values: Evidently drops missing values and fails on a column without any, and here it shows what the
    decision rests on. It tests the distance alone; Evergreen also asks for a small p-value.
    """
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import DriftedColumnsCount, ValueDrift

    sides = [_frame(compared, side) for side in ("reference", "current")]
    names = list(sides[0].columns)
    definition = DataDefinition(categorical_columns=names)
    how = {"method": "jensenshannon", "threshold": policy.effect * NATURAL}
    columns = [name for name in names if not name.startswith(SCORE)]  # the share is one of columns
    share = max(policy.columns_share, 1 / max(len(columns), 1))
    parts = [DriftedColumnsCount(columns=columns, drift_share=share, **how)] if columns else []
    parts += [ValueDrift(column=name, **how) for name in names]
    reference, current = (Dataset.from_pandas(side, data_definition=definition) for side in sides)
    snapshot = Report(parts, include_tests=True).run(current, reference)  # the current rows come first
    if len(snapshot.dict()["tests"]) != len(parts):
        raise RuntimeError(f"Evidently ran {len(snapshot.dict()['tests'])} tests, {len(parts)} were asked for.")
    model = snapshot.to_snapshot_model()
    for widget in model.widgets:
        _readable(widget)
    return Section("Requests against training rows", list(model.widgets), list(model.tests_widgets))


def quality_section(live: "pd.DataFrame", evaluated: "pd.DataFrame", threshold: float) -> Section:
    """Evidently's view of answers with known labels against the champion's evaluation.

    Args:
        live: columns `label` (0 or 1, both present) and `score`.
        evaluated: the same of the test rows.
        threshold: the score from which the answer is yes.
    """
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationQuality

    definition = DataDefinition(
        categorical_columns=["label"],
        numerical_columns=["score"],
        classification=[BinaryClassification(target="label", prediction_probas="score", pos_label=1)],
    )
    # Its own tests compare with a dummy model; the promise is what counts, and Evergreen has judged that.
    quality = ClassificationQuality(probas_threshold=threshold, conf_matrix=True, pr_curve=True, include_tests=False)
    current, reference = (Dataset.from_pandas(side, data_definition=definition) for side in (live, evaluated))
    snapshot = Report([quality], include_tests=True).run(current, reference)
    return Section("Answers with known labels against the evaluation", list(snapshot.to_snapshot_model().widgets), [])


def _sections(context: Context, champion: Champion, evidence: Evidence) -> list[Section]:
    sections, policy = [], context.problem.drift
    if evidence.num_requests >= policy.minimum_rows:
        compared = shifts.column_cells(evidence, context.problem)
        if len(evidence.reference.scores):
            now = finding.outputs(evidence.scores, context.problem)
            before = finding.outputs(evidence.reference.scores, context.problem)
            compared |= {f"predicted {name}": drift.number_cells(before[name], scores) for name, scores in now.items()}
        sections += [drift_section(compared, policy)] if compared else []
    yes_or_no = context.problem.problem.task == "binary"  # of other tasks the table above says what is known
    enough = len(evidence.labelled.labels) >= policy.minimum_rows
    if yes_or_no and enough and len(np.unique(evidence.labelled.labels)) == 2:
        sections.append(_quality(context, champion, evidence))
    return sections


def _quality(context: Context, champion: Champion, evidence: Evidence) -> Section:
    import pandas as pd

    judged = context.of_run(champion.run_key)
    scored = pq.read_table(judged.file(SCORES), columns=["_label", "candidate"])
    scored = scored.take(choose(scored.num_rows, MOST))
    threshold = judged.record(Evaluated).threshold
    known, kept = evidence.labelled, choose(len(evidence.labelled.labels), MOST)
    live = pd.DataFrame({"label": known.labels[kept].astype(int), "score": known.scores[kept]})
    labels = np.asarray(scored["_label"].to_pylist(), dtype=int)
    return quality_section(live, pd.DataFrame({"label": labels, "score": scored["candidate"].to_numpy()}), threshold)


def _frame(compared: dict[str, Cells], side: str) -> "pd.DataFrame":
    """Cell names per row; columns that fewer requests hold are shorter, which Evidently takes as missing and leaves out."""
    import pandas as pd

    columns = {}
    for name, found in compared.items():
        codes = found.reference if side == "reference" else found.current
        width = len(str(len(found.names)))
        cells = [f"{number:0{width}d} {cell[:LONGEST]}".translate(HARMLESS) for number, cell in enumerate(found.names, 1)]
        labels = np.array(cells, object)
        columns[name.translate(HARMLESS)] = pd.Series(labels[codes[choose(len(codes), MOST)]])
    return pd.DataFrame(columns)


def _readable(widget: Any) -> None:
    """Bars in the order of the cells and in percent: Evidently sorts by count, and counts of unlike samples say little."""
    for tab in getattr(widget, "tabs", None) or []:
        chart = tab.widget.params
        names = sorted({str(name) for trace in chart["data"] for name in trace["x"]})
        # The list is spelt out: under "category ascending" Evidently's plotly draws an empty chart, without an error.
        chart["layout"]["xaxis"] |= {"categoryorder": "array", "categoryarray": names}
        absolute, percent = chart["layout"]["updatemenus"][0]["buttons"]
        chart["layout"]["updatemenus"][0]["buttons"] = [percent, absolute]  # the first button is the pressed one
        chart["layout"]["yaxis"]["title"] = {"text": "Percent"}
        for trace, visible in zip(chart["data"], percent["args"][0]["visible"], strict=True):
            trace["visible"] = visible


def _render(sections: list[Section]) -> str:
    if not sections:
        return '<!DOCTYPE html><html lang="en"><head><meta charset="UTF-8"><title>Monitor</title></head><body></body></html>'
    from evidently.core.metric_types import render_widgets
    from evidently.legacy.renderers.html_widgets import group_widget

    widgets = [group_widget(title=section.title, widgets=section.widgets) for section in sections]
    page: str = render_widgets(widgets + [test for section in sections for test in section.tests], as_iframe=False)
    return page


def _with_header(page: str, header: str) -> str:
    before, body, after = page.partition("<body>")
    if not body:
        raise RuntimeError("Evidently's page has no <body> to put the header into.")
    return before + body + header + after


def _header(context: Context, record: Monitored) -> str:
    """Verdicts, reason and every finding; all text is escaped, for values come from requests."""
    span = f"{record.start:%Y-%m-%d %H:%M} to {record.end:%Y-%m-%d %H:%M} UTC" if record.start and record.end else ""
    verdicts = ", ".join(f'{kind}: <span class="{_css(said)}">{said}</span>' for kind, said in record.verdicts.items())
    rows = "".join(
        f'<tr><td>{finding.kind}</td><td>{escape(finding.subject)}</td><td class="{_css(said)}">{said}</td>'
        f"<td>{escape(finding.sentence)}</td></tr>"
        for finding in record.findings
        for said in ["not assessable" if finding.drifted is None else "drift" if finding.drifted else "no drift"]
    )
    absent = [finding.subject for finding in record.findings if finding.kind == "data" and finding.drifted is None]
    left_out = f"<p>Not compared, and not in the charts: {escape(', '.join(absent))}.</p>" if absent else ""
    table = f"<table><tr><th>kind</th><th>what</th><th>verdict</th><th>found</th></tr>{rows}</table>" if rows else ""
    return (
        f'{STYLE}<div class="evergreen"><h1>{escape(context.problem.problem.title)}</h1>'
        f"<p>Version {record.version or '-'}, {record.num_requests} requests, {span}; {record.num_labelled} answers with a known "
        f"label.</p><p>{verdicts}</p><p>{escape(record.reason)}</p>{left_out}{table}"
        "<p>Below, Evidently shows the cells that the verdict rests on. It tests the distance alone, with natural logarithms "
        "(0 to 0.83); Evergreen uses base 2 (0 to 1) and calls a column moved only when chance is ruled out, too.</p></div>"
    )


def _css(said: str) -> str:
    return "drift" if said == "drift" else "none"
