"""A version laid out for others to serve."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, show
from ml.context import Context, open_run
from ml.errors import RefusedError


class Form(StrEnum):
    """What is written."""

    serving = "serving"
    browser = "browser"


def register(app: typer.Typer) -> None:
    """Add `export`."""
    app.command("export", help="Lay a version out for TensorFlow Serving, or as a page that runs it in the browser.")(export)


def export(
    problem: ProblemOption,
    to: Annotated[Path, typer.Option("--to", help="folder to write into; serving: becomes TO/PROBLEM/VERSION")],
    form: Annotated[Form, typer.Option(help="serving: TensorFlow Serving's layout; browser: a page around onnxruntime-web")],
    version: Annotated[int | None, typer.Option(help="version in the registry; default: the champion")] = None,
    runtime: Annotated[
        Path | None, typer.Option(help="browser: onnxruntime-web's dist folder, copied beside the page; default: from a CDN")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print where the files are."""
    from ml.exports import build

    context = open_run(problem, "show")
    number, model = _model(context, version)
    if form is Form.serving:
        written = build.tensorflow_serving(model, to, context.problem.name, number)
        told = (
            f"version {number} lies in {written}; tensorflow_model_server --model_base_path={written.parent.absolute()} serves it"
        )
    else:
        written = build.browser(model, to, runtime)
        told = f"version {number} runs on the page {written}/index.html; python -m http.server -d {written} serves it"
    show({"version": number, "folder": str(written)}, as_json=as_json, text=told)


def _model(context: Context, version: int | None) -> tuple[int, Path]:
    """Version and model folder, to the byte what was registered.

    Raises: RefusedError: there is no such version, or none at all. DataError: its files are gone or changed.
    """
    from ml import judged, past, snapshot

    if version is None:
        champion = context.ledger.champion(context.problem.name)
        if champion is None:
            raise RefusedError(f"{context.problem.name} has no champion to export. Name a --version.")
        return champion.version, snapshot.model_of(context.store, champion.run_key, champion.model_digest)
    names = past.models(context, patient=True)
    trained = past.run_of(context, names[version]).trained if version in names else None
    if trained is None:
        known = ", ".join(map(str, names)) or "none"
        raise RefusedError(f"There is no version {version} of {context.problem.name} with its files. Versions: {known}.")
    return version, judged.model_of(context.of_run(names[version]))
