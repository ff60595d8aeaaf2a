"""What each DAG is made of: tasks and their order, schedules, events, forms, retries, help for people."""

import pytest

from ml.backtest import POLICIES
from tests import runbook
from tests.dags.conftest import Parse, write_problems

WIRING: dict[str, dict[str, list[str]]] = {
    "retrain": {
        "ingest": ["validate"],
        "validate": ["decide", "report"],
        "report": [],
        "decide": ["prepare"],
        "prepare": ["train"],
        "train": ["evaluate"],
        "evaluate": ["rehearse"],
        "rehearse": ["gate"],
        "gate": ["register"],
        "register": ["announce"],
        "announce": [],
    },
    "promote": {"promote": ["announce"], "announce": []},
    "deploy": {"deploy": []},
    "monitor": {
        "monitor": ["announce", "report", "roll_back", "tell"],
        "announce": [],
        "report": [],
        "roll_back": [],
        "tell": [],
    },
    "feedback": {"join": ["queue", "watch"], "queue": [], "watch": []},
    "housekeeping": {"purge": ["vacuum"], "vacuum": []},
    "backtest": {"backtest": []},
    "alerts": {"sweep": []},
}
OUTLETS = {
    "retrain": {"announce": ["candidate_flights"]},
    "promote": {"announce": ["champion_flights"]},
    "monitor": {"announce": ["drift_flights"], "roll_back": ["champion_flights"], "tell": ["news_flights"]},
}


@pytest.mark.parametrize("kind", WIRING)
def test_tasks_and_their_order(two, kind):
    assert two["dags"][f"{kind}_flights"]["wiring"] == WIRING[kind]


@pytest.mark.parametrize("kind", WIRING)
def test_tasks_that_compute_for_long_have_workers_of_their_own(two, kind):
    heavy = {"retrain": {"prepare", "train", "evaluate", "rehearse"}, "backtest": {"backtest"}}.get(kind, set())
    assert {task for task, queue in two["dags"][f"{kind}_flights"]["queues"].items() if queue == "training"} == heavy


@pytest.mark.parametrize("kind", WIRING)
def test_only_last_tasks_announce_each_what_it_is_about(two, kind):
    expected = {task: OUTLETS.get(kind, {}).get(task, []) for task in WIRING[kind]}
    assert two["dags"][f"{kind}_flights"]["outlets"] == expected
    assert all(WIRING[kind][task] == [] for task in OUTLETS.get(kind, {}))


@pytest.mark.parametrize("kind", WIRING)
def test_one_run_at_a_time_running_at_once_without_catching_up(two, kind):
    dag = two["dags"][f"{kind}_flights"]
    assert dag["max_active_runs"] == (16 if kind == "deploy" else 1)  # a rollout is held or finished by a run beside it
    assert set(dag["side_by_side"].values()) <= {1, None}
    assert dag["is_paused_upon_creation"] is False
    assert dag.get("catchup", False) is False
    # a start date would make a fresh installation run the night that has just passed
    assert dag.get("start_date") is None


@pytest.mark.parametrize("kind", WIRING)
def test_failures_that_stay_end_at_the_first_try_and_others_are_repeated(two, kind):
    for tries in two["dags"][f"{kind}_flights"]["tries"].values():
        assert {tries[name] for name in ("ConfigError", "DataError", "RefusedError")} == {"fail"}
        assert tries["TransientError"] == "retry"
        assert tries["KeyError"] == "default"
        assert tries["retries"] >= 2  # a killed process raises nothing: only this number brings it back
        assert tries["first_delay"] <= 30


@pytest.mark.parametrize("kind", WIRING)
def test_people_find_owner_question_triage_and_what_each_task_does(two, kind):
    dag = two["dags"][f"{kind}_flights"]
    assert dag["description"] == "Will the flights be late?"
    assert {"evergreen", kind, "flights"} == set(dag["tags"])
    assert "Triage:" in dag["doc_md"]
    for task in dag["wiring"]:
        assert f"`{task}`" in dag["doc_md"] or "A task" in dag["doc_md"]
    owners = {task["__var"].get("owner") for task in dag["tasks"]}
    assert owners == {"team flights"}
    assert all(doc and doc.strip() for doc in dag["docs"].values())


def test_the_runbook_has_first_steps_for_every_task(two, parse: Parse, tmp_path):
    asking = parse(write_problems(tmp_path / "problems", "flights", approval="manual"))["dags"]["promote_flights"]
    text = runbook.RUNBOOK.read_text()
    for kind in WIRING:
        section = text.partition(f"### {kind}\n")[2].partition("### ")[0]
        tasks = set(WIRING[kind]) | (set(asking["wiring"]) if kind == "promote" else set())
        assert [task for task in tasks if f"`{task}`" not in section] == []


def test_where_people_decide_they_are_asked_before_the_promotion_and_the_next_night_need_not_wait(parse: Parse, tmp_path):
    found = parse(write_problems(tmp_path / "problems", "flights", approval="manual"))
    dag = found["dags"]["promote_flights"]
    assert dag["wiring"] == {"approve": ["promote"], "promote": ["announce"], "announce": []}
    assert dag["max_active_runs"] > 1
    assert dag["side_by_side"] == {"approve": 16, "promote": 1, "announce": 1}
    assert dag["dagrun_timeout"] == (72 + 20) * 3600
    assert dag["tries"]["approve"]["RefusedError"] == "fail"
    assert dag["approvers"] == {"approve": []}, "everybody who may edit runs"
    assert found["dags"]["retrain_flights"]["wiring"] == WIRING["retrain"], "a pending approval never lives in retrain"


def test_where_the_file_names_who_may_approve_only_they_may(parse: Parse, tmp_path):
    folder = write_problems(tmp_path / "problems", "flights", approval="manual")
    file = folder / "flights.toml"
    file.write_text(file.read_text().replace('approval = "manual"', 'approval = "manual"\napprovers = ["anna", "ben"]'))
    assert parse(folder)["dags"]["promote_flights"]["approvers"] == {"approve": ["anna", "ben"]}


def cron(dag):
    return dag["timetable"]["__var"].get("timetable", dag["timetable"])["__var"]


def test_retrain_starts_at_night_in_the_problems_zone_or_on_drift(two):
    dag = two["dags"]["retrain_flights"]
    assert dag["timetable"]["__type"].endswith("AssetOrTimeSchedule")
    assert (cron(dag)["expression"], cron(dag)["timezone"]) == ("15 2 * * *", "America/New_York")
    assert dag["timetable"]["__var"]["asset_condition"]["name"] == "drift_flights"


def test_monitor_starts_in_the_morning_in_the_problems_zone(two):
    dag = two["dags"]["monitor_flights"]
    assert dag["timetable"]["__type"].endswith("CronTriggerTimetable")
    assert (cron(dag)["expression"], cron(dag)["timezone"]) == ("30 5 * * *", "America/New_York")


def test_feedback_starts_before_the_retrain_that_learns_from_it(two):
    dag = two["dags"]["feedback_flights"]
    assert (cron(dag)["expression"], cron(dag)["timezone"]) == ("0 2 * * *", "America/New_York")


def test_housekeeping_starts_once_a_week_in_the_problems_zone(two):
    dag = two["dags"]["housekeeping_flights"]
    assert (cron(dag)["expression"], cron(dag)["timezone"]) == ("0 5 * * 0", "America/New_York")


@pytest.mark.parametrize(
    ("kind", "assets"), [("promote", ["candidate_flights"]), ("deploy", ["champion_flights", "alias_flights"])]
)
def test_promote_and_deploy_follow_events_of_their_own_problem(two, kind, assets):
    condition = two["dags"][f"{kind}_flights"]["timetable"]["__var"]["asset_condition"]
    assert [entry["name"] for entry in condition["objects"]] == assets


def test_deploy_is_told_when_a_hand_moves_the_alias(two):
    champion, alias = two["dags"]["deploy_flights"]["timetable"]["__var"]["asset_condition"]["objects"]
    [watcher] = alias["watchers"]
    assert watcher["trigger"]["classpath"] == "retraining.triggers.AliasTrigger"
    assert watcher["trigger"]["kwargs"]["problem"] == "flights"
    assert not champion.get("watchers")


def test_nothing_follows_the_wall_clock_while_history_is_replayed_but_a_backfill_finds_every_night(parse: Parse, tmp_path):
    found = parse(write_problems(tmp_path / "problems", "flights"), EVERGREEN_CLOCK_FILE=str(tmp_path / "clock"))
    assert {dag["next"]["scheduler"] for dag in found["dags"].values()} == {"None"}
    assert "DateTime(2013, 1, 1, " in found["dags"]["retrain_flights"]["next"]["backfill"]
    assert found["dags"]["retrain_flights"]["timetable"]["__var"]["asset_condition"]["name"] == "drift_flights"


def test_days_of_a_backfill_are_read_side_by_side_and_nothing_else_is(two):
    limits = two["dags"]["retrain_flights"]["side_by_side"]
    assert {task for task, limit in limits.items() if limit is None} == {"ingest", "validate"}
    assert {limit for task, limit in limits.items() if task not in ("ingest", "validate")} == {1}


def test_the_retrain_form_may_stay_empty_and_says_how_a_window_is_written(two):
    fields = two["dags"]["retrain_flights"]["form"]
    assert list(fields) == ["window", "dry_run", "tune", "reason"]
    assert [fields[name]["type"] for name in fields] == [["null", "string"], "boolean", "boolean", ["null", "string"]]
    assert [fields[name]["default"] for name in fields] == [None, False, False, None]
    assert "2013-01-01/2013-02-01" in fields["window"]["description_md"]
    assert all(field["title"] and not field.get("section") for field in fields.values())


def test_the_monitor_form_takes_a_window_and_says_that_nothing_follows_from_it(two):
    fields = two["dags"]["monitor_flights"]["form"]
    assert list(fields) == ["window"] and fields["window"]["default"] is None
    assert "nothing follows from what is found" in fields["window"]["description_md"]


def test_the_promote_form_takes_a_version(two):
    fields = two["dags"]["promote_flights"]["form"]
    assert list(fields) == ["version", "comment"]
    assert (fields["version"]["type"], fields["version"]["minimum"]) == (["null", "integer"], 1)


def test_the_backtest_form_offers_every_policy_and_may_be_sent_as_it_stands(two):
    dag = two["dags"]["backtest_flights"]
    fields = dag["form"]
    assert dag["next"]["scheduler"] == "None"
    assert list(fields) == ["first", "last", "policies", "every", "share", "workers", "sample"]
    assert fields["policies"]["default"] == fields["policies"]["items"]["enum"] == list(POLICIES)
    assert [fields[name]["default"] for name in ("first", "last", "every", "share", "sample")] == [None, None, 1, 1.0, False]
    assert all(field["title"] and not field.get("section") for field in fields.values())
