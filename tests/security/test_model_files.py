"""A model file is what was judged, to the byte, or it is not opened: by whoever opens one."""

import ast
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from ml import database, evaluate, judged, register, rehearse, snapshot
from ml.context import Context
from ml.errors import DataError, EvergreenError
from ml.evaluate import stage as evaluating
from ml.ledger import Champion
from ml.lineage.rescore import rescore
from ml.monitor.earlier import gain_of
from ml.records import Evaluated, Ingested, Trained, Verdict
from ml.scoring import Scorer
from ml.settings import PROJECT
from ml.store import Store, digest
from ml.store.bucket import Bucket
from tests.integration import state_kit

ANY = cast("Any", None)  # would be looked at after the model was opened


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A run with a model and a verdict in the ledger; no test may change it for good."""
    home = tmp_path_factory.mktemp("night")
    context = state_kit.make_context(home, f"sqlite:///{home}/state.db", "http://127.0.0.1:9")
    database.migrate(context.settings.database_url)
    context = state_kit.judged(context)
    context.store.write_json(context.name(snapshot.PROBLEM), context.problem.model_dump(mode="json"))
    register.write_verdict(context, context.ledger, context.record(Verdict), context.record(Trained))
    return context


def flip_a_bit(model: Path) -> None:
    file = model / "saved_model" / "saved_model.pb"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def swap_the_files_of_two_names(model: Path) -> None:
    one, other = model / "model.json", model / "example.json"
    aside = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(aside)


def add_a_file(model: Path) -> None:
    (model / "core.tflite").write_bytes(b"other weights")


def link_a_folder(model: Path) -> None:
    (model / "exports").symlink_to("/tmp", target_is_directory=True)


def link_a_file_elsewhere(model: Path) -> None:
    file = model / "model.json"
    shutil.copy(file, model.parent / "aside.json")
    file.unlink()
    file.symlink_to(model.parent / "aside.json")


TAMPERINGS = (flip_a_bit, swap_the_files_of_two_names, add_a_file, link_a_folder, link_a_file_elsewhere)


@pytest.fixture
def tampered(night, request):
    """The night whose model was tampered with in the way that the test names."""
    model = night.file("model")
    whole = model.with_name("whole")
    shutil.copytree(model, whole)
    getattr(request, "param", flip_a_bit)(model)
    yield night
    shutil.rmtree(model)
    whole.rename(model)


def champion(context: Context) -> Champion:
    return Champion(1, context.run_key, context.record(Trained).model_digest)


def other_night(context: Context) -> Context:
    """A run that meets the tampered one as champion."""
    return replace(context, run_key="night-2")


def scored_as_champion(context: Context) -> None:
    found = evaluating._champion(other_night(context), pa.table({}), champion(context), lambda *_: "", Scorer.load)
    assert found is not None and found.scores is None
    raise DataError(found.problem)


def rehearsed_as_champion(context: Context) -> None:
    mine = context.store.fetch(context.name("whole"))
    with context.store.replacing(other_night(context).name("model")) as folder:
        shutil.copytree(mine, folder)
    pair = rehearse.stage._pair(other_night(context), context.record(Trained), champion(context))
    assert pair.champion is None
    raise DataError(pair.problem)


OPENED_BY: dict[str, Callable[[Context], object]] = {
    "evaluate, as candidate": evaluate.run,
    "evaluate, as champion": scored_as_champion,
    "rehearse, as candidate": rehearse.run,
    "rehearse, as champion": rehearsed_as_champion,
    "register": register.run,
    "promote and deploy": lambda context: judged.demand_files(context, champion(context)),
    "monitor, an earlier version": lambda context: gain_of(context, champion(context), ANY),
    "lineage, scoring again": lambda context: rescore(context, ANY, champion(context), Path("unused")),
    "replay, export and backtest": judged.model_of,
}


@pytest.mark.parametrize("how", OPENED_BY)
def test_whoever_opens_a_model_refuses_one_that_was_tampered_with(tampered, how):
    with pytest.raises(EvergreenError, match="has been changed since it was registered"):
        OPENED_BY[how](tampered)


@pytest.mark.parametrize("tampered", TAMPERINGS, indirect=True)
def test_every_way_to_tamper_is_noticed(tampered):
    with pytest.raises(DataError, match="has been changed since it was registered"):
        judged.model_of(tampered)


def test_the_ledger_counts_and_not_what_lies_beside_the_model(tampered):
    """Whoever may write to the store can also make its record fit the other model; the ledger is elsewhere."""
    about = tampered.store.read_json(tampered.name("train.json"))
    changed = about["record"] | {"model_digest": digest(tampered.file("model"))}
    tampered.store.write_json(tampered.name("train.json"), about | {"record": changed})
    try:
        with pytest.raises(DataError, match="has been changed since it was registered"):
            judged.model_of(tampered)
    finally:
        tampered.store.write_json(tampered.name("train.json"), about)


def test_an_untouched_model_opens(night):
    assert judged.model_of(night) == night.file("model")


# a folder that the process has just written itself, that was checked by who hands it over, or that is no model
CHECKED_BEFORE = {
    "ml/scoring.py": "what loads; whoever calls it has checked",
    "ml/alone.py": "`rehearse` hands over folders that it has checked",
    "ml/train/job.py": "the model that this process has just written",
    "ml/exports/make.py": "exports that this process has just written",
    "ml/registry/package.py": "the package that this process has just written",
    "ml/registry/served_model.py": "runs in MLflow's clients; MLflow hands over the folder",
    "ml/serving/live.py": "`copies` hands over folders that it has checked",
}


def test_no_other_place_opens_a_model_without_asking_for_its_digest():
    """Every `Scorer.load(...)` and its like gets what `model_of` returns, in the same function, or is named above."""
    open_ = []
    for path in sorted((PROJECT / "ml").rglob("*.py")):
        text = path.read_text()
        name = path.relative_to(PROJECT).as_posix()
        if name in CHECKED_BEFORE or not any(word in text for word in ("Scorer.load", "saved_model.load", "InferenceSession(")):
            continue
        opening = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.FunctionDef) and _opens(one)]
        open_ += [f"{name}: {one.name}" for one in opening if "model_of" not in ast.unparse(one)]
    assert open_ == []


def _opens(function: ast.FunctionDef) -> bool:
    called = (ast.unparse(one.func) for one in ast.walk(function) if isinstance(one, ast.Call))
    return any(name.endswith(("Scorer.load", "saved_model.load", "InferenceSession")) for name in called)


@pytest.mark.parametrize("name", ["../../evil", "a/../../evil", "/etc/evil", "a//evil", "./evil", "nul\0"])
def test_a_name_in_a_bucket_cannot_lead_out_of_the_cache(tmp_path, name):
    """In a bucket any text is a name, also one that a copy on disk would follow out of its folder."""
    bucket = Bucket("s3://bucket/late", tmp_path / "deep" / "er" / "cache")
    with pytest.raises(DataError, match="leads out of a folder"):
        bucket._copy("runs/night/model", {name: '"etag"'})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", ""])
def test_a_name_cannot_lead_out_of_the_store(tmp_path, name):
    store = Store(tmp_path / "store")
    for use in (store.read, store.exists, store.fetch, store.delete, store.location, store.replacing):
        with pytest.raises(DataError, match="leads out of the store"):
            use(name)
    with pytest.raises(DataError, match="leads out of the store"):
        store.create(name, b"x")
    assert not os.listdir(tmp_path)


def test_records_are_plain_json(night):
    """What stages tell each other is text that is checked on the way in, so a planted record cannot be more than wrong."""
    for kind in (Ingested, Trained, Evaluated):
        about = night.store.read_json(night.name(f"{kind.stage}.json"))
        assert kind.model_validate(about["record"]) == night.record(kind)
        with pytest.raises(ValueError, match="Extra inputs are not permitted"):
            kind.model_validate(about["record"] | {"__reduce__": "os.system"})
