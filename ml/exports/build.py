"""A model folder laid out for others: for TensorFlow Serving, and as a page that runs the model in the browser."""

import shutil
import tempfile
from pathlib import Path

from ml.errors import ConfigError, DataError
from ml.exports.make import ENCODER, FILES, published

PAGE = Path(__file__).with_name("browser")
ORT = "1.24.3"  # version of onnxruntime-web that the page is tested with
CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{ORT}/dist/"
ORT_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def tensorflow_serving(model: Path, to: Path, problem: str, version: int) -> Path:
    """The SavedModel as `to/problem/version`, which TensorFlow Serving follows when told `--model_base_path=to/problem`.

    It appears whole or not at all, since the server looks while files are copied.

    Raises: ConfigError: the version lies there already.
    """
    wanted = to / problem / str(version)
    if wanted.exists():
        raise ConfigError(f"{wanted} exists already. Remove it, or name another folder.")
    wanted.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".coming-", dir=wanted.parent) as coming:
        shutil.copytree(model / "saved_model", Path(coming) / "whole")
        (Path(coming) / "whole").rename(wanted)
    return wanted


def browser(model: Path, to: Path, runtime: Path | None = None) -> Path:
    """A folder with a page that any file server can serve, and that runs the model without a server of ours.

    Args:
        runtime: folder `dist` of the npm package onnxruntime-web, copied beside the page; without it the page loads the runtime
            from the internet.
    Raises:
        DataError: the model has no ONNX export that answers like its SavedModel.
        ConfigError: `to` exists, or `runtime` is another folder.
    """
    if "onnx" not in published(model):
        raise DataError(
            f"{model} holds no ONNX export that was found to answer like its SavedModel. Write onnx into [serving] targets, "
            "train, and look into exports.json."
        )
    if to.exists():
        raise ConfigError(f"{to} exists already. Remove it, or name another folder.")
    absent = [name for name in ORT_FILES if runtime and not (runtime / name).is_file()]
    if absent:
        raise ConfigError(
            f"{runtime} holds no {absent[0]}. `npm install onnxruntime-web@{ORT}` puts it into node_modules/.../dist."
        )
    to.mkdir(parents=True)
    for name in (ENCODER, FILES["onnx"], "model.json", "example.json"):
        shutil.copyfile(model / name, to / name)
    shutil.copyfile(PAGE / "model.js", to / "model.js")
    page = (PAGE / "index.html").read_text().replace("{{ runtime }}", "ort/" if runtime else CDN)
    (to / "index.html").write_text(page)
    if runtime:
        (to / "ort").mkdir()
        for name in ORT_FILES:
            shutil.copyfile(runtime / name, to / "ort" / name)
    return to
