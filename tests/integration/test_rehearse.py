"""The rehearsal with real models in processes of their own: logged requests, test rows, a slow candidate, erased people."""

import json
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml import database, gate, rehearse, requests, snapshot
from ml.alone import alone
from ml.context import Context
from ml.erase import runs, search
from ml.erase.person import Person
from ml.errors import TransientError
from ml.gate import rehearsal
from ml.ledger import Champion
from ml.records import Loaded, Trained
from ml.rehearse import bench, load
from ml.scoring import Scorer
from ml.store import digest
from tests.integration import state_kit
from tests.integration.state_kit import FEATURES, NOW, ROWS


@pytest.fixture
def night(state, tmp_path) -> Context:
    """A run that trained a candidate, on test rows of its own; there is no champion."""
    context = state_kit.judged(state_kit.make_context(tmp_path, state, "http://127.0.0.1:9"))
    return with_test_rows(context)


def with_test_rows(context: Context) -> Context:
    scorer = Scorer(context.file("model"), {}, "UTC")
    typed = replace(scorer, columns=context.problem.features).table(ROWS * 50)
    rows = typed.append_column("_key", pa.array([f"k{n}" for n in range(150)])).append_column("_part", pa.array(["test"] * 150))
    with context.store.replacing(context.name(snapshot.ROWS)) as path:
        pq.write_table(rows, path)
    return context


def champion_of(context: Context, run_key: str = "earlier") -> Context:
    """Another run, whose model is the champion."""
    earlier = with_test_rows(state_kit.judged(context, run_key))
    to = Champion(1, run_key, earlier.record(Trained).model_digest)
    context.ledger.move(context.problem.name, to=to, expected=None, kind="promote", key=run_key, actor="test", body={})
    return earlier


def ask(context: Context, size: int = 150, *, request_id: str = "request-1", arm: str = "champion", **changes: Any) -> None:
    """What callers asked, and were answered by the champion."""
    rows = [ROWS[n % len(ROWS)] | changes for n in range(size)]
    scorer = Scorer.load(context.of_run("earlier").file("model"))
    answers = scorer.answers(scorer.score(scorer.table([{name: row[name] for name in FEATURES} for row in rows])))
    keys: list[str | None] = [f"person-{n}" for n in range(size)]
    with closing(database.connect(context.settings.database_url)) as connection:
        name, at = context.problem.name, NOW - timedelta(hours=1)
        requests.append(connection, [requests.Request(f"{name} {request_id}", name, 1, at, keys, rows, answers, arm)])


def test_without_a_champion_the_candidate_is_rehearsed_alone_on_test_rows(night):
    found = rehearse.run(night)
    assert (found.asked, found.num_rows, found.champion, found.growth) == ("test rows", 150, None, ())
    assert "the request log holds 0 rows, and 100 are needed" in found.why
    assert 0 < found.candidate.row_ms <= found.candidate.row_p99_ms
    assert found.candidate.memory_mb > 50 and found.candidate.size_mb > 0 and found.candidate.start_s > 0
    assert "there is no champion yet" in found.sentence


def test_logged_requests_are_answered_by_both_and_the_rows_that_change_most_are_kept(night):
    earlier = champion_of(night)
    ask(night)
    ask(night, arm="shadow")
    found = rehearse.run(night)
    assert (found.asked, found.num_rows, found.champion_version, found.num_refused) == ("requests", 150, 1, 0)
    assert found.first == found.last == NOW - timedelta(hours=1)
    assert len(requests.newest(night.settings.database_url, night.problem.name, 1000)) == 150, "a shadow's answer reached nobody"
    assert found.unlike_log == pytest.approx(0, abs=1e-6), "the champion answers as the log says it did"

    mine, theirs = (scored(run, ROWS) for run in (night, earlier))
    gaps = mine - theirs
    assert found.difference is not None
    assert found.difference.absolute == pytest.approx(np.abs(gaps).mean(), abs=1e-6)
    assert found.difference.mean == pytest.approx(gaps.mean(), abs=1e-6)
    assert found.difference.flips == 50 * int(((mine >= 0.3) != (theirs >= 0.3)).sum())
    assert {one.measure for one in found.growth} == {"row_ms", "row_p99_ms", "batch_ms", "memory_mb", "start_s"}

    assert found.examples == (), "single rows stay in the store unless the problem shows them"
    kept = night.store.read_json(night.name(snapshot.REHEARSED))
    assert len(kept) == 20
    assert kept[0]["row"] == ROWS[int(np.abs(gaps).argmax())] and kept[0]["key"].startswith("person-")
    assert kept[0]["candidate"]["score"] - kept[0]["champion"]["score"] == pytest.approx(gaps[np.abs(gaps).argmax()], abs=1e-6)
    assert not any(word in night.store.read(night.name("rehearse.json")).decode() for word in ("person-", "10001"))


def test_a_finished_rehearsal_is_not_repeated_and_a_promoted_run_never_meets_itself(night):
    champion_of(night)
    first = rehearse.run(night)
    ask(night)
    assert rehearse.run(night) == first
    to = Champion(2, night.run_key, night.record(Trained).model_digest)
    night.ledger.move(night.problem.name, to=to, expected=1, kind="promote", key="2", actor="test", body={})
    assert rehearse.run(night) == first


def test_a_champion_whose_files_are_gone_is_told_and_stops_nothing(night):
    earlier = champion_of(night)
    shutil.rmtree(earlier.file("model"))
    found = rehearse.run(night)
    assert found.champion is None and found.champion_version == 1
    assert "champion 1 cannot be rehearsed: The model folder" in found.champion_problem
    assert found.candidate.row_ms > 0


def test_columns_that_come_and_go_are_told_and_rows_without_them_are_not_asked(night):
    earlier = champion_of(night)
    ask(night)
    about = json.loads((night.file("model") / "model.json").read_text())
    changed = {("hour" if name == "note" else name): feature for name, feature in about["features"].items()}
    (night.file("model") / "model.json").write_text(json.dumps(about | {"features": changed}))
    columns = rehearse.rows.Columns(
        rehearse.rows.columns_of(night.file("model")), rehearse.rows.columns_of(earlier.file("model"))
    )
    assert (columns.added, columns.dropped) == (("hour",), ("note",))
    asked = rehearse.rows.asked(night, columns)
    assert (asked.kind, asked.num_unfit) == ("test rows", 150)
    assert "the request log holds 150 rows, 0 of them with every column that the models take (absent: hour)" in asked.why


def test_what_the_candidate_refuses_is_counted_and_no_value_of_a_row_is_told(night):
    champion_of(night)
    ask(night)
    ask(night, 1, postcode="secret", request_id="other")
    refuse(night, "secret")
    found = rehearse.run(night)
    assert (found.num_refused, found.num_rows) == (1, 151)
    assert found.refusal == "the model gives no number for it"
    assert found.difference is not None and found.difference.num_rows == 150
    verdict = gate.run(night)
    assert "1 of 151 logged rows that the champion answers are refused" in verdict.sentence


def test_rows_are_hidden_as_the_problem_asks_today(night):
    champion_of(night)
    ask(night)
    private = night.problem.privacy.model_copy(update={"redact": {"id": "hash", "note": "remove"}})
    hiding = replace(night, problem=night.problem.model_copy(update={"privacy": private}))
    showing = hiding.problem.model_copy(update={"success": hiding.problem.success.model_copy(update={"show_rows": True})})
    found = rehearse.run(replace(hiding, problem=showing))
    assert len(found.examples) == 10 and found.examples[0].candidate.startswith("0.")
    assert all("carrier" in one.row or one.row == {} for one in found.examples)
    assert not any("note" in one.row for one in found.examples)
    kept = night.store.read_json(night.name(snapshot.REHEARSED))
    assert {row["row"]["note"] for row in kept} == {None}
    assert {row["key"][:2] for row in kept} == {"h:"}


def test_an_erasure_reaches_the_rows_that_were_kept(night):
    champion_of(night)
    ask(night)
    rehearse.run(night)
    name = night.name(snapshot.REHEARSED)
    key = night.store.read_json(name)[0]["key"]
    person = Person("id", "id", frozenset({key}))
    assert search.everywhere(night.store, person)[name] > 0
    runs.scrub(night.store, name, person)
    assert name not in search.everywhere(night.store, person)
    assert len(night.store.read_json(name)) == 19


def test_two_equal_models_break_no_rule_while_the_machine_is_busy(night):
    """The same model under two run keys, again and again, beside processes that take every core."""
    earlier = champion_of(night)
    folder = earlier.file("model")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        with alone(folder, fresh=False) as champion, alone(folder, fresh=False) as candidate:
            models = {"champion": champion, "candidate": candidate}
            for model in models.values():
                model.keep(ROWS * 50)
            broken = [rule for _ in range(2) for rule in broken_rules(models, night)]
    finally:
        for one in busy:
            one.kill()
            one.wait()
    assert broken == []


def broken_rules(models, context: Context) -> list[str]:
    """What the gate's rules about speed and memory say of one benchmark."""
    turns = bench.measure(models, len(ROWS) * 50)
    mine, theirs = (bench.performance(models[name], turns[name], 1.0, models[name].start_s) for name in ("candidate", "champion"))
    grown = bench.growth(mine, theirs, turns["candidate"], turns["champion"])
    limit = context.problem.gate.maximum_growth
    return [rule.sentence for one in grown if not (rule := rehearsal.growth_rule(one, limit)).holds]


@pytest.mark.slow  # four workers import TensorFlow for these models
def test_under_load_both_answer_in_services_of_their_own_that_leave_nothing_behind(tmp_path, state):
    made = state_kit.make_context(tmp_path, state, "http://127.0.0.1:9", problem="late")
    night = with_test_rows(state_kit.judged(replace(made, folder_of_problem=tmp_path)))
    (tmp_path / "late.toml").write_text(
        PROBLEM + "".join(f"{name} = {{ type = '{one['type']}' }}\n" for name, one in FEATURES.items())
    )
    champion_of(night)
    found = load.run(night, connections=(1, 8), step_s=0.4)
    assert found.champion is not None and found.champion_version == 1
    for one in (found.candidate, found.champion):
        assert [step.connections for step in one.steps] == [1, 8] and one.knee in (1, 8)
        assert [step.failed for step in (*one.steps, one.batch)] == [0, 0, 0]
        assert all(step.per_second > 0 and 0 < step.p50_ms <= step.p99_ms for step in (*one.steps, one.batch))
        assert one.start_s > 0 and one.memory_mb > 30
    assert night.record(Loaded) == found
    assert requests.newest(state, "late", 10) == [], "a load test is no traffic"
    assert not [one for one in psutil.Process().children(recursive=True) if "ml.serving" in command(one)]


def command(process: psutil.Process) -> list[str]:
    """Nothing of a process that ended since it was listed."""
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


PROBLEM = """
[problem]
name = "late"
title = "Will it be late?"
task = "binary"
owner = "tests"

[source]
table = "flights"
key = "id"
event_time = "planned_at"
label = "late"
label_time = "arrived"

[features]
"""


def test_a_model_process_that_dies_is_told(night):
    with pytest.raises(TransientError, match="died in the rehearsal"), alone(night.file("model"), fresh=False) as model:
        psutil.Process(model.pid).kill()
        model.keep(ROWS)


def scored(run: Context, rows: list[dict[str, Any]]) -> np.ndarray:
    scorer = Scorer.load(run.file("model"))
    return scorer.score(scorer.table(rows))


def refuse(context: Context, postcode: str) -> None:
    """Let the candidate answer one postcode with no number."""
    import tensorflow as tf

    folder = context.file("model")
    loaded = tf.saved_model.load(str(folder / "saved_model"))
    call = loaded.signatures["serving_default"]
    module = tf.Module()
    module.inner = loaded

    @tf.function(autograph=False)
    def serve(**raw):
        return {"score": tf.where(raw["postcode"] == postcode, float("nan"), call(**raw)["score"])}

    specs = {name: tf.TensorSpec([None], spec.dtype, name) for name, spec in call.structured_input_signature[1].items()}
    tf.saved_model.save(module, str(folder / "changed"), signatures={"serving_default": serve.get_concrete_function(**specs)})
    shutil.rmtree(folder / "saved_model")
    (folder / "changed").rename(folder / "saved_model")
    context.write(context.record(Trained).model_copy(update={"model_digest": digest(folder)}))
