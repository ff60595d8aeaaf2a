"""What the service is measured against: the same model behind as little code as can be. `python -m benchmarks.serving_apps`."""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any


def fastapi(folder: Path) -> Any:
    """What a tutorial shows: FastAPI, a pydantic model, a call of the SavedModel. No keys, log, metrics or swap."""
    import tensorflow as tf
    from fastapi import FastAPI
    from pydantic import BaseModel

    about = json.loads((folder / "model.json").read_text())
    numbers = {name for name, feature in about["features"].items() if feature["type"] in ("number", "boolean")}
    call = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    app = FastAPI()

    class Question(BaseModel):
        rows: list[dict[str, Any]]

    @app.post("/predict")
    def predict(question: Question) -> dict[str, Any]:
        raw = {
            name: tf.constant(
                [float("nan") if row[name] is None else row[name] for row in question.rows]
                if name in numbers
                else [(row[name] or "")[:19] for row in question.rows]
            )
            for name in about["features"]
        }
        return {"scores": call(**raw)["score"].numpy().tolist()}

    return app


def bare(folder: Path) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """An ASGI function around the very core that the service runs: no framework, no validation, nothing else."""
    from ml.scoring import Scorer

    scorer = Scorer.load(folder)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        rows = json.loads((await receive())["body"])["rows"]
        content = json.dumps({"scores": scorer.score_rows(rows).tolist()}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


if __name__ == "__main__":
    import uvicorn

    _, name, place, port = sys.argv
    app = {"fastapi": fastapi, "bare": bare}[name](Path(place))
    uvicorn.run(app, port=int(port), access_log=False, log_level="warning", lifespan="off")
