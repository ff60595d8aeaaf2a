"""A model folder laid out for others to serve."""

import pytest
import tensorflow as tf

from ml.errors import ConfigError, DataError
from ml.exports import build
from ml.problem import Serving
from ml.scoring import Scorer
from tests.unit.exports_kit import make


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "model"
    make(folder, "binary", Serving(targets=("onnx",)))
    return folder


def test_tensorflow_serving_finds_versions_by_number(model, tmp_path):
    """Below a model's folder lie folders named by number, each a whole SavedModel with the default signature."""
    for version in (3, 12):
        build.tensorflow_serving(model, tmp_path, "late", version)
    assert sorted(path.name for path in (tmp_path / "late").iterdir()) == ["12", "3"]  # a number is all the server looks at
    signature = tf.saved_model.load(str(tmp_path / "late" / "12")).signatures["serving_default"]
    asked = signature.structured_input_signature[1]
    assert set(asked) == set(Scorer.load(model).columns)
    raw = {name: tf.constant([""] if spec.dtype == tf.string else [2.0], spec.dtype) for name, spec in asked.items()}
    assert signature(**raw)["score"].shape == (1,)
    with pytest.raises(ConfigError, match="exists already"):
        build.tensorflow_serving(model, tmp_path, "late", 3)


def test_the_page_holds_all_it_needs_but_the_runtime(model, tmp_path):
    to = build.browser(model, tmp_path / "page")
    held = {path.name for path in to.iterdir()}
    assert held == {"index.html", "model.js", "encoder.json", "core.onnx", "model.json", "example.json"}
    assert f"onnxruntime-web@{build.ORT}" in (to / "index.html").read_text()
    with pytest.raises(ConfigError, match="exists already"):
        build.browser(model, to)
    with pytest.raises(ConfigError, match=r"holds no ort\.wasm\.min\.mjs.*npm install"):
        build.browser(model, tmp_path / "other", tmp_path)
    assert not (tmp_path / "other").exists()


def test_a_model_without_onnx_has_no_page(tmp_path):
    make(tmp_path / "model", "binary", Serving(targets=("litert",)))
    with pytest.raises(DataError, match="onnx into"):
        build.browser(tmp_path / "model", tmp_path / "page")
    assert not (tmp_path / "page").exists()
