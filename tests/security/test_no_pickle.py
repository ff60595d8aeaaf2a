"""Nothing that can run code is ever loaded: no pickle, no Keras Lambda, no array of objects."""

import ast
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ml import snapshot
from ml.registry import server
from ml.settings import PROJECT
from tests.integration import state_kit

MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "torch", "jsonpickle", "h5py"}
CALLS = {"eval", "exec", "read_pickle", "to_pickle", "read_hdf", "load_weights", "enable_unsafe_deserialization", "unsafe_load"}
KERAS_LOADS = {"load_model", "deserialize_keras_object", "model_from_json", "clone_model"}
SUSPECT = re.compile("|".join(sorted(MODULES | CALLS | KERAS_LOADS)) + r"|\.load\(|safe_mode|allow_pickle")
# where a name means something else than above
EXPLAINED = {
    ("ml/exports/convert.py", "clone_model"),  # of a network that this process has built itself, not of a file
    ("ml/versions/rows.py", "eval"),  # an expression of Polars over the entries of a list
    ("ml/registry/package.py", "load_model"),  # MLflow's, of the folder that was written a line before; it is code, no pickle
}


def sources() -> Iterator[tuple[str, str]]:
    for folder in ("ml", "plugins", "dags"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            yield path.relative_to(PROJECT).as_posix(), path.read_text()


def findings(path: str, tree: ast.Module) -> Iterator[str]:
    """What in a file could load code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{path} imports {name}" for name in names if name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            yield from (f"{path}:{node.lineno} {what}" for what in of_call(path, node))


def of_call(path: str, call: ast.Call) -> Iterator[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    said = {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg in ("safe_mode", "allow_pickle")}
    if (name in CALLS or name in KERAS_LOADS) and (path, name) not in EXPLAINED:
        yield f"calls {name}"
    if name == "load" and ast.unparse(call.func) in ("np.load", "numpy.load") and said.get("allow_pickle") != "False":
        yield "calls np.load without allow_pickle=False"
    if said.get("safe_mode") == "False" or said.get("allow_pickle") == "True":
        yield "opens the door by itself"


def test_no_source_file_can_load_a_pickle():
    texts = dict(sources())
    assert len(texts) > 300
    suspects = {path: text for path, text in texts.items() if SUSPECT.search(text)}  # parsing all would take seconds
    assert suspects
    assert [line for path, text in suspects.items() for line in findings(path, ast.parse(text))] == []


@pytest.mark.parametrize(
    "line",
    [
        "import joblib",
        "from pickle import loads",
        "import numpy as np; np.load('x')",
        "import numpy as np; np.load('x', allow_pickle=True)",
        "import pandas as pd; pd.read_pickle('x')",
        "import keras; keras.saving.load_model('x', safe_mode=False)",
        "import keras; keras.config.enable_unsafe_deserialization()",
        "eval('1')",
    ],
)
def test_and_the_search_finds_each_way_to_do_it(line):
    assert SUSPECT.search(line) and list(findings("ml/new.py", ast.parse(line)))


class Trap:
    """Unpickling one of these writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_planted_array_of_objects_is_not_loaded(tmp_path):
    """It must be refused before its content runs: that is what the folder `ran` would show."""
    context = state_kit.make_context(tmp_path, f"sqlite:///{tmp_path}/state.db", "http://127.0.0.1:9")
    trap = np.empty(1, dtype=object)
    trap[0] = Trap(tmp_path / "ran")
    with context.store.replacing(context.name(snapshot.ENCODED)) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=True, **{"test.numbers": trap})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        snapshot.arrays_of(context, "test")
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(trap[0]))
    assert (tmp_path / "ran").exists(), "the trap itself works"


PLANT = """
import sys, keras
from pathlib import Path
mark, file = sys.argv[1:]
code = "__import__('os').mkdir(" + repr(mark) + ")"
inner = keras.layers.Lambda(eval("lambda x: (" + code + ", x)[1]"), output_shape=(1,))
keras.Sequential([keras.Input((1,)), inner]).save(file)
for safe in (None, False):
    try:
        keras.saving.load_model(file, **({} if safe is None else {"safe_mode": safe}))(keras.ops.ones((1, 1)))
        print("loaded")
    except ValueError as error:
        print("refused", "safe_mode" in str(error), Path(mark).exists())
print(Path(mark).exists())
"""


@pytest.mark.slow
def test_a_keras_file_with_a_lambda_layer_is_refused(tmp_path):
    """A real file with a real layer that makes a folder: Keras as we use it refuses; with its guard off the same file runs."""
    command = [sys.executable, "-W", "ignore", "-c", PLANT, str(tmp_path / "ran"), str(tmp_path / "evil.keras")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.stdout.splitlines() == ["refused True False", "loaded", "True"], done.stderr[-2000:]


PICKLED = """
import sys, mlflow.pyfunc
from ml.registry import server
class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]): return model_input
mlflow.pyfunc.save_model(sys.argv[1], python_model=Model(), pip_requirements=["mlflow"])
server.client("sqlite:///" + sys.argv[1] + ".db")
try:
    mlflow.pyfunc.load_model(sys.argv[1])
    print("loaded")
except mlflow.MlflowException as error:
    print("refused", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION" in str(error))
"""


@pytest.mark.slow
def test_a_pickled_model_is_refused_by_mlflow_in_our_processes(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in server.DEFAULTS}
    command = [sys.executable, "-W", "ignore", "-c", PICKLED, str(tmp_path / "model")]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=280)
    assert done.stdout.splitlines() == ["refused True"], done.stderr[-2000:]
