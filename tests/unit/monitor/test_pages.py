"""The dossier and the page over time, from records made by hand."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ml import database, drift
from ml import problem as problems
from ml import settings as settings_
from ml.context import Context
from ml.monitor import dossier, history, index
from ml.monitor.report import figures
from ml.problem import Feature
from ml.records import Action, DriftFinding, Monitored

PROBLEMS = Path(__file__).resolve().parents[3] / "ml" / "problems"
DAY = date(2013, 6, 30)
ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def context(tmp_path):
    url = f"sqlite:///{tmp_path / 'state.db'}"
    database.migrate(url)
    settings = replace(settings_.read({}), database_url=url, store=str(tmp_path / "store"))
    return Context(problems.load("flights", PROBLEMS), settings, "morning")


def finding(subject, value, *, kind="data", importance=None, since=DAY, sentence="it moved"):
    about = {"importance": importance, "since": since, "smallest": 0.1}
    return DriftFinding(
        kind=kind, subject=subject, drifted=value > 0.2, value=value, limit=0.2, p_value=0.001, sentence=sentence, **about
    )


def monitored(day, *findings, actions=(), **verdicts):
    end = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return Monitored(
        start=end - timedelta(days=1), end=end, version=1, num_requests=900, num_labelled=800, findings=findings, actions=actions,
        verdicts={"data": "no drift", "concept": "no drift"} | verdicts, retrain=False, reason=f"all of it {ATTACK}",
    )  # fmt: skip


def written(context, record):
    dossier.write(context, record, None, None)
    return context.store.read(context.name(dossier.PAGE)).decode()


def test_live_quality_comes_first_then_columns_by_what_they_are_worth():
    found = (
        finding("wind", 0.9),
        finding("carrier", 0.3, importance=0.05),
        finding("auc", 0.6, kind="concept"),
        finding("x", 0.1),
    )
    assert [one.subject for one in dossier.ranked(monitored(DAY, *found))] == ["auc", "carrier", "wind"]


def test_the_dossier_says_what_moved_since_when_and_what_is_done_about_it(context):
    for number in (2, 1):
        history.keep(context, monitored(DAY - timedelta(days=number), finding("carrier", 0.3 + number / 10), data="drift"))
    action = Action(kind="retrain", key="v1-2013-06-30", due=True, why="drift: data")
    moved = finding("carrier", 0.5, importance=0.04, since=DAY - timedelta(days=2), sentence=f"carrier: {ATTACK}")
    harm = finding("moved columns", 0.3, kind="hurting", sentence="30% of the champion's skill at stake, up to 41.0 a day")
    page = written(context, monitored(DAY, moved, harm, actions=(action,), data="drift"))
    assert "up to 41.0 a day" in page.partition("</div>")[0], "what it costs stands in the box on top"
    assert "Drift: data since 2013-06-28." in page and "Retrain, v1-2013-06-30: drift: data" in page
    assert "times the limit" in page and page.count("<svg") == 1
    assert ATTACK not in page and "&lt;script&gt;" in page
    assert 'href="monitor.html"' in page and 'href="../../monitor/index.html"' in page


def test_there_is_a_dossier_when_nothing_stood_out_and_when_nothing_could_be_judged(context):
    assert "Nothing stands out." in written(context, monitored(DAY))
    silent = monitored(DAY, data="not assessable", concept="not assessable")
    assert "nothing could be judged" in written(context, silent)


def test_where_is_told_by_the_values_that_became_more_and_fewer():
    before, now = pa.array(["UA"] * 80 + ["AA"] * 20), pa.array(["UA"] * 30 + ["AA"] * 20 + ["ZZ"] * 50)
    compared = drift.cells(
        pa.chunked_array([before]), pa.chunked_array([now]), Feature.model_validate({"type": "category"}), timezone="UTC"
    )
    words = dossier.cells_in_words(compared)
    assert "fewer: UA 80.0% → 30.0%" in words and "0.0% → 50.0%" in words and "AA" not in words


def test_the_page_over_time_has_the_newest_day_first_links_its_dossier_and_quotes_nobody(context):
    for number in range(3):
        day = DAY + timedelta(days=number)
        stood = finding("carrier", 0.5, since=DAY, sentence="'Anna Smith' not seen in training")
        history.keep(context.of_run(f"run-{number}"), monitored(day, stood, data="drift"))
    body = {"why": "the retrain did not pass the gate"}
    context.ledger.append("flights", "told", key="k", actor="monitor", version=1, body=body)
    index.write(context)
    page = context.store.read(index.PAGE).decode()
    assert page.index("2013-07-02") < page.index("2013-07-01") and "since 2013-06-30" in page
    assert 'href="../runs/run-2/dossier.html"' in page and "did not pass the gate" in page
    assert "Anna" not in page and ATTACK not in page and "not assessable" not in page


def test_of_two_looks_at_a_day_the_later_one_is_kept(context):
    late, early = monitored(DAY, finding("carrier", 0.5)), monitored(DAY)
    early = early.model_copy(update={"end": early.end - timedelta(hours=3), "num_requests": 5})
    for record in (late, early):
        history.keep(context, record)
    assert [one.said.num_requests for one in history.days(context)] == [900]
    assert history.days(context, before=DAY) == []


def test_mlflow_gets_the_numbers_and_no_words():
    found = figures(monitored(DAY, finding("carrier", 0.5), concept="not assessable", data="drift"))
    assert found == {
        "monitor.data.carrier": 0.5, "monitor.data": 1.0, "monitor.requests": 900.0, "monitor.labelled": 800.0,
    }  # fmt: skip
    assert all(np.isfinite(list(found.values())))
