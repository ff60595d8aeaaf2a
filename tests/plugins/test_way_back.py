"""The form of a deployment asks for the way back: an earlier champion becomes champion, in the name of who filled it in."""

from types import SimpleNamespace
from typing import Any

import pytest
from retraining import asking, forms, runs

from ml.errors import ConfigError


@pytest.fixture
def filled_in(monkeypatch):
    """What the form says, as a task of the run sees it."""

    def fill(**params: Any) -> None:
        run = SimpleNamespace(triggering_user_name="anna")
        airflow = {"params": {name: param.value for name, param in forms.deploy().items()} | params, "dag_run": run}
        monkeypatch.setattr(runs, "get_current_context", lambda: airflow)

    return fill


def test_without_the_order_there_is_no_way_back(filled_in):
    filled_in(mode="canary", order="hold", comment="Monday first")
    assert runs.way_back() is None
    assert runs.wished().order == "hold"


def test_the_order_names_the_person_and_is_not_told_to_the_rollout(filled_in):
    filled_in(order="back", version=3, comment="too many false alarms")
    assert runs.way_back() == {"to": 3, "actor": "airflow:anna", "comment": "too many false alarms"}
    assert runs.wished().order is None


def test_a_version_without_the_order_is_no_wish_that_is_dropped_in_silence(filled_in):
    filled_in(version=3)
    with pytest.raises(ConfigError, match="needs order = 'back'"):
        runs.way_back()


def test_the_page_of_the_way_back_fills_the_dags_own_form():
    assert asking.conf_of("rollback", {"version": "3", "comment": " why "}) == {"order": "back", "version": 3, "comment": "why"}
    assert asking.conf_of("rollback", {}) == {"order": "back"}
    assert asking.conf_of("retrain", {"dry_run": "true", "window": ""}) == {"dry_run": True, "tune": False}
    with pytest.raises(ValueError, match="no version number"):
        asking.conf_of("promote", {"version": "-1"})


@pytest.mark.parametrize("what", list(asking.ASKS))
def test_every_page_has_only_fields_of_the_dags_own_form(what):
    params = getattr(forms, asking.ASKS[what].kind)()
    assert set(asking.ASKS[what].fields) | set(asking.ASKS[what].given) <= set(params)
    for name, value in asking.ASKS[what].given.items():
        assert value in params[name].schema["enum"]
