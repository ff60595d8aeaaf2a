"""Every export answers raw rows as the SavedModel does, or is not published; the free core needs no TensorFlow."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ml.exports import convert, published
from ml.problem import Serving
from ml.scoring import Scorer
from tests.unit.exports_kit import OUTPUTS, SIZE, make, sample

SMALLER = ("litert_float16", "litert_int8", "litert_int8_full", "litert_pruned")
EXACT = ("litert", "onnx")
LOADED = ("numpy", "numpy.libs", "ai_edge_litert")  # all that the reference loader may use


@pytest.fixture(scope="module", params=list(OUTPUTS))
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / request.param
    serving = Serving(targets=("litert", *SMALLER, "onnx"), export_tolerance=3.0, pruned_share=0.4)
    return folder, make(folder, request.param, serving)


def test_each_is_compared_on_every_row_and_told(made):
    folder, told = made
    by_target = {one.target: one for one in told}
    assert list(by_target) == ["savedmodel", "litert", *SMALLER, "onnx"]
    assert all(one.published and one.num_rows == SIZE and one.quality is not None for one in told)
    for name in EXACT:
        assert by_target[name].tolerance == 1e-5 and 0 < by_target[name].difference <= 1e-5
    for name in SMALLER:
        assert 1e-5 < by_target[name].difference <= 3.0
    assert by_target["litert_int8"].num_bytes < by_target["litert_float16"].num_bytes < by_target["litert"].num_bytes
    assert by_target["litert_pruned"].num_bytes < by_target["litert"].num_bytes
    assert [one["target"] for one in json.loads((folder / "exports.json").read_text())["exports"]] == list(by_target)
    assert all((folder / one.file).stat().st_size == one.num_bytes for one in told[1:])


def test_the_free_core_answers_tables_and_rows_as_the_saved_model_does(made):
    folder, _ = made
    rows, free, reference = sample(), Scorer.load(folder), Scorer.load(folder, reference=True)
    assert free.core is not None and reference.core is None
    wanted = reference.score(rows)
    spread = wanted.std(axis=0)
    assert (spread > 0).all()
    for answers in (free.score(rows), free.score_rows(rows.to_pylist()), reference.score_rows(text_rows(rows)[:50])):
        assert answers.dtype == np.float64
        assert (np.abs(answers - wanted[: len(answers)]) / np.maximum(1, spread)).max() < 1e-5
    assert free.score(rows.slice(0, 0)).shape == free.score_rows([]).shape == reference.score(rows.slice(0, 0)).shape


def text_rows(rows: pa.Table) -> list[dict]:
    """As a request holds them."""
    return [row | {"sched": row["sched"] and row["sched"].isoformat()} for row in rows.to_pylist()]


def test_many_threads_score_at_once(made):
    """An interpreter answers one thread at a time, and keeps the size of the last request."""
    folder, _ = made
    rows, scorer = sample().to_pylist(), Scorer.load(folder)
    pieces = [rows[first : first + size] for size in (1, 3, 64, 1, 17) for first in range(0, 480, 32)]
    alone = [scorer.score_rows(piece) for piece in pieces]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            for found, wanted in zip(threads.map(scorer.score_rows, pieces), alone, strict=True):
                np.testing.assert_array_equal(found, wanted)


def test_serving_with_the_free_core_imports_no_tensorflow(made):
    folder, _ = made
    code = (
        "import sys; from pathlib import Path; from ml.scoring import Scorer\n"
        f"scorer = Scorer.load(Path({str(folder)!r})); rows = scorer.example['rows']\n"
        "first, second = scorer.score(scorer.table(rows)), scorer.score_rows(rows)\n"
        "assert abs(first - second).max() < 1e-5 * max(1, abs(first).max()), (first, second)\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_shipped_loader_runs_where_tensorflow_cannot_be_imported(made, tmp_path):
    """A Python that sees NumPy, LiteRT and the model folder only, not even this project."""
    folder, _ = made
    lines = (folder / "loader.py").read_text().splitlines()
    assert len(lines) <= 100 and not any(line.lstrip().startswith(("import tensorflow", "from ml")) for line in lines)
    for name in LOADED:
        place = Path(find_spec("numpy").origin).parents[1] / name  # type: ignore[union-attr, arg-type]
        (tmp_path / name).symlink_to(place)
    code = (
        "import sys; sys.path[:] = [path for path in sys.path if 'site-packages' not in path]\n"
        f"sys.path += [{str(tmp_path)!r}, {str(folder)!r}]\n"
        "import importlib.util, json; from pathlib import Path\n"
        "assert not any(map(importlib.util.find_spec, ('tensorflow', 'keras', 'pyarrow', 'ml'))), sys.path\n"
        "from loader import Model\n"
        f"model = Model(Path({str(folder)!r}))\n"
        "print(json.dumps(model.score(json.load(sys.stdin)).tolist()))"
    )
    rows = text_rows(sample())
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], input=json.dumps(rows), capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    scorer = Scorer.load(folder, reference=True)
    wanted = scorer.score(scorer.table(rows))
    assert (np.abs(np.array(json.loads(done.stdout)) - wanted) / np.maximum(1, wanted.std(axis=0))).max() < 1e-5


def test_an_export_that_answers_otherwise_is_not_published(tmp_path, monkeypatch, caplog):
    """The service then runs the SavedModel."""
    right = convert.litert
    monkeypatch.setattr(convert, "litert", lambda core, how, **asked: right(convert.pruned(core, 0.9), how, **asked))
    told = make(tmp_path / "model", "binary", Serving(targets=("litert",)))[1]
    assert not told.published and (told.difference or 0) > 1e-5 and "differs by" in told.why
    assert not (tmp_path / "model" / told.file).exists() and list(published(tmp_path / "model")) == ["savedmodel"]
    scorer = Scorer.load(tmp_path / "model")
    assert scorer.core is None and scorer.score_rows(scorer.example["rows"]).shape == (3,)
    assert "not published" in caplog.text


def test_a_converter_that_fails_is_told(tmp_path, monkeypatch):
    def fails(*given, **asked):
        raise RuntimeError("no kernel for StringLookup\nand much more")

    monkeypatch.setattr(convert, "onnx", fails)
    _, fine, told = make(tmp_path / "model", "binary", Serving(targets=("litert", "onnx")))
    assert fine.published and not told.published
    assert told.why == "the converter failed: no kernel for StringLookup"
    assert not (tmp_path / "model" / told.file).exists()
