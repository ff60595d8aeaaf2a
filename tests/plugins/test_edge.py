"""From a record to what travels between tasks, and from a reason to a skip."""

from datetime import date

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from retraining import edge

from ml.records import Ingested, Interval, Registered, Rule, Verdict


def ingested(**changes):
    given_ = {"start": date(2013, 1, 1), "end": date(2013, 2, 1), "version": 3, "num_rows": 5, "changed": True}
    return Ingested.model_validate(given_ | {"num_rows_by_day": {"2013-01-01": 5}} | changes)


def test_the_log_line_tells_the_short_fields():
    told = "ingest: start 2013-01-01, end 2013-02-01, version 3, rows 5, changed True, deleted 0, erased 0, late 0"
    assert edge.summary(ingested()) == told


def test_the_log_line_of_a_verdict_is_its_sentence():
    rule = Rule(rule="floor", value=0.5, limit=0.6, holds=False, sentence="auc 0.5 is under its floor 0.6")
    verdict = Verdict(decision="reject", rules=(rule,), champion_version=None, dry_run=False)
    assert edge.summary(verdict) == "gate: reject: auc 0.5 is under its floor 0.6"


def test_the_log_line_of_a_registration_holds_the_address():
    line = edge.summary(Registered(version=None, mlflow_run_id="r1", url="http://127.0.0.1:5000/#/runs/r1"))
    assert line.endswith("url http://127.0.0.1:5000/#/runs/r1")


def test_what_travels_is_the_record_as_plain_json():
    expected = ingested().model_dump(mode="json")
    assert edge.done(ingested()) == expected


def test_long_fields_stay_in_the_runs_folder():
    days = {str(date.fromordinal(734000 + number)): 1 for number in range(365)}
    travelling = edge.small(ingested(num_rows_by_day=days))
    assert "num_rows_by_day" not in travelling
    assert travelling["num_rows"] == 5


def test_numbers_that_json_does_not_have_travel_as_text():
    sent = edge.small(Interval(value=0.5, low=float("nan"), high=float("inf")))
    assert (sent["value"], sent["low"], sent["high"]) == (0.5, "nan", "inf")


ENDS = {
    "no record": lambda: edge.done(None, "no promotion is due"),
    "a reason": lambda: edge.skip_if("no promotion is due"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_skip_says_why_in_the_log(end, caplog):
    caplog.set_level("INFO")
    with pytest.raises(AirflowSkipException, match="no promotion is due"):
        end()
    assert "Skipped: no promotion is due." in caplog.text


def test_no_reason_is_no_skip():
    edge.skip_if(None)
