"""Alerts arrive at real sinks: mail by SMTP, hooks by HTTP; once, later when the sink was away, after the quiet hours, and no
token shows up anywhere.
"""

import email
import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from email import policy as policies
from typing import Any

import apprise
import apprise.plugins.pagerduty
import apprise.plugins.slack
import pytest
from aiosmtpd.controller import Controller

from ml import notify
from ml.errors import ConfigError, TransientError
from ml.notify import Alert
from ml.records import Swept
from tests.unit.notify.conftest import NOON, Care, Hook

TOKEN = "planted4token8never2shown"
FAILED = Alert(
    "retrain_failed", "run-7", "`validate` of retrain_flights failed", datetime.fromisoformat(NOON), {"the run": "/dags/x"}
)


class Mailbox:
    """What an SMTP server was handed."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's interface
        """Take a mail."""
        self.got.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=policies.default)))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A running SMTP server and its port."""
    box = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, port
    server.stop()


def hooked(hook: Hook) -> str:
    return f"json://127.0.0.1:{hook.port}/{TOKEN}"


def became(care: Care) -> list[tuple[str, str | None]]:
    return [(work.kind, work.outcome) for work in reversed(care.context.ledger.asked("flights", "alert", limit=99))]


def test_a_mail_says_what_happened_and_what_to_do(care, mailbox):
    box, port = mailbox
    care.routes(default=f"mailto://127.0.0.1:{port}?from=evergreen@example.com&to=team@example.com")
    assert notify.raise_alert(care.context, FAILED)
    record = notify.sweep(care.context, airflow="https://airflow.example.com/")
    ((recipients, mail),) = box.got
    assert (recipients, mail["Subject"], record.num_sent) == (["team@example.com"], "[flights] warning: retrain failed", 1)
    text = mail.get_body(("plain",)).get_content()
    for part in ("What happened: `validate`", "What to do: Read the last line", "docs/runbook.md#retrain_failed"):
        assert part in text
    assert "the run: https://airflow.example.com/dags/x" in text


def test_a_hook_that_speaks_slacks_language_gets_a_text(care, hook):
    care.routes(default=f"mmost://127.0.0.1:{hook.port}/{TOKEN}")
    notify.raise_alert(care.context, FAILED)
    notify.sweep(care.context)
    (got,) = hook.got
    assert got["path"] == f"/hooks/{TOKEN}"
    assert "What it means: No fresh candidate" in got["body"]["text"]


def test_slack_and_pagerduty_are_asked_as_they_want_to_be(care, hook, monkeypatch):
    """Only the addresses are replaced: what is sent, and how, is what their servers would get."""
    monkeypatch.setattr(apprise.plugins.slack.NotifySlack, "webhook_url", f"http://127.0.0.1:{hook.port}/services")
    monkeypatch.setitem(apprise.plugins.pagerduty.PAGERDUTY_API_LOOKUP, "us", f"http://127.0.0.1:{hook.port}/enqueue")
    slack = f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN[:24]}/#alerts"
    care.routes(slack=slack, pager=f"pagerduty://{'a' * 32}@{'b' * 20}/evergreen/flights")
    told = care.policy(routes={"warning": ["slack", "pager"]})
    notify.raise_alert(told.context, FAILED)
    assert notify.sweep(told.context).failed == {}
    pager, chat = sorted(hook.got, key=lambda one: one["path"])
    assert (pager["path"], pager["body"]["payload"]["severity"]) == ("/enqueue", "warning")
    assert re.fullmatch(r"[0-9a-f]{32}", pager["body"]["dedup_key"])
    assert chat["path"].startswith("/services/T1JJ3T3L2/A1BRTD4JD/")
    assert "What to do" in json.dumps(chat["body"])


def test_the_same_alert_is_told_once_and_by_each_route_once(care, hook):
    care.routes(one=hooked(hook), other=hooked(hook))
    told = care.policy(routes={"warning": ["one", "other"]})
    for _ in range(3):
        notify.raise_alert(told.context, FAILED)
        notify.sweep(told.context)
    assert len(hook.got) == 2
    sent = "sent 2013-02-01 17:00 UTC"
    assert became(told) == [("alert", "to one, other"), ("alert@one", sent), ("alert@other", sent)]


def test_a_sink_that_is_away_loses_nothing_and_stops_no_other(care, hook, make_care):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        care.routes(away=f"json://127.0.0.1:{nobody.getsockname()[1]}/{TOKEN}", here=hooked(hook))
        told = care.policy(routes={"warning": ["away", "here"]})
        notify.raise_alert(told.context, FAILED)
        first = notify.sweep(told.context)
    assert (first.num_sent, first.num_waiting, list(first.failed)) == (1, 1, ["away"])
    assert len(hook.got) == 1
    told.routes(away=hooked(hook), here=hooked(hook))
    second = notify.sweep(told.context)
    assert (second.num_sent, second.num_waiting, second.failed, len(hook.got)) == (1, 0, {}, 2)
    assert notify.sweep(told.context).num_sent == 0


def test_a_sink_that_says_no_gets_it_once_it_says_yes(care, hook):
    care.routes(default=hooked(hook))
    notify.raise_alert(care.context, FAILED)
    hook.status = 503
    failed = notify.sweep(care.context).failed
    assert "it answered 503" in failed["default"]
    hook.status = 200
    assert notify.sweep(care.context).num_sent == len(hook.got) == 1


def test_killed_between_sending_and_writing_it_down_the_second_copy_carries_the_same_stamp(care, hook, monkeypatch):
    care.routes(default=hooked(hook))
    notify.raise_alert(care.context, FAILED)

    class KilledError(BaseException):
        """As a kill would."""

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("ml.notify.stage._tick_off", killed)
        with pytest.raises(KilledError):
            notify.sweep(care.context)
    notify.sweep(care.context)
    stamps = [got["headers"]["Idempotency-Key"] for got in hook.got]
    assert len(stamps) == 2  # at least once
    assert len(set(stamps)) == 1


def test_what_quiet_hours_held_back_comes_afterwards_in_one_message(care, hook):
    care.routes(default=hooked(hook))
    told = care.policy(quiet="22:00-07:00").at("2013-02-01T23:00:00-05:00")
    for number in range(3):
        notify.raise_alert(told.context, replace(FAILED, key=f"run-{number}"))
    night = notify.sweep(told.context)
    assert (night.num_held, night.num_sent, hook.got) == (3, 0, [])
    morning = notify.sweep(told.at("2013-02-02T07:00:00-05:00").context)
    assert (morning.num_held, morning.num_sent) == (0, 1)
    assert hook.got[0]["body"]["title"] == "[flights] warning: 3 alerts"


def test_a_snooze_ends(care, hook):
    care.routes(default=hooked(hook))
    body = {"kind": "retrain_failed", "until": "2013-02-01T13:00:00-05:00", "why": "the source is being moved"}
    care.context.ledger.append("flights", notify.SNOOZED, key="1", actor="cli:anna", body=body)
    notify.raise_alert(care.context, FAILED)
    assert notify.sweep(care.context).num_held == 1
    assert notify.sweep(care.at("2013-02-01T13:00:00-05:00").context).num_sent == 1
    assert len(hook.got) == 1


def test_no_token_is_ever_logged_or_shown_whatever_happens(care, hook, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    for status in (500, 200):
        hook.status = status
        care.routes(default=hooked(hook))
        notify.raise_alert(care.context, FAILED)
        record = notify.sweep(care.context)
        assert TOKEN not in record.model_dump_json() + repr(notify.read(care.context.settings.alerts))
    assert len(hook.got) == 1
    assert TOKEN in hook.got[0]["path"]
    care.routes(default=f"nonsense://{TOKEN}")
    notify.raise_alert(care.context, replace(FAILED, key="other"))
    assert "is none that can be sent to" in notify.sweep(care.context).failed["default"]
    (care.folder / "routes.toml").write_text(f'[routes]\ndefault = ["{TOKEN}"]')
    with pytest.raises(ConfigError, match=r"routes\.default") as wrong:
        notify.sweep(care.context)
    out, err = capfd.readouterr()
    assert TOKEN not in caplog.text + out + err + str(wrong.value)


def test_without_a_file_of_routes_alerts_are_listed_and_nothing_is_saved_up(care):
    silent = replace(care.context, settings=replace(care.context.settings, alerts=None))
    notify.raise_alert(silent, FAILED)
    notify.sweep(silent)
    assert became(care) == [("alert", "not sent: EVERGREEN_ALERTS names no file of routes")]


def test_a_route_that_the_file_does_not_know_is_named_and_what_goes_there_waits(care, hook):
    care.routes(mail=hooked(hook))
    notify.raise_alert(care.context, FAILED)
    record = notify.sweep(care.context)
    assert record.num_waiting == 1
    assert "Known there: mail" in record.failed["default"]


def test_where_the_ledger_is_away_an_alert_goes_out_at_once(care, hook):
    care.routes(default=hooked(hook))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = f"postgresql://nobody@127.0.0.1:{nobody.getsockname()[1]}/state"
        away = replace(care.context, settings=replace(care.context.settings, database_url=gone))
        assert notify.raise_alert(away, FAILED)
        assert len(hook.got) == 1
        hook.status = 500
        with pytest.raises(TransientError):
            notify.raise_alert(away, FAILED)


def test_the_ledgers_news_are_told_and_prometheus_gets_word(care, hook):
    care.routes(default=hooked(hook))
    ledger = care.at("2013-01-31T03:10:00-05:00").context.ledger
    ledger.append("flights", "verdict", key="v", actor="retrain", body={"verdict": {"decision": "reject"}})
    care.at(NOON).context.ledger.append("flights", "told", key="t", actor="monitor", body={"why": "data drift: carrier"})
    record = notify.sweep(care.context)
    assert record.night_late
    assert record == Swept.model_validate(care.context.store.read_json(Swept.latest))
    (got,) = hook.got
    assert got["body"]["title"] == "[flights] critical: 2 alerts"
    assert "data drift: carrier" in got["body"]["message"]


def test_two_sweeps_at_once_send_once(hook, make_care: Callable[[], Care], database: Callable[[str], str]):
    """On PostgreSQL, as in production: who comes second sends nothing."""
    from ml import database as databases

    care, url = make_care(), database("alerts")
    databases.migrate(url)
    context = replace(care.context, settings=replace(care.context.settings, database_url=url))
    care.routes(default=hooked(hook))
    notify.raise_alert(context, FAILED)
    with databases.only_one(url, notify.LOCK, "flights") as first:
        assert first
        assert notify.sweep(context).num_sent == 0
        with databases.only_one(url, notify.LOCK, "complaints") as other:
            assert other
    assert notify.sweep(context).num_sent == len(hook.got) == 1
