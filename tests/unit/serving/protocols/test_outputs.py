"""What every kind of model answers, in the words of the other protocols."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.problem import Feature
from ml.requests import Request
from ml.scoring import Scorer
from ml.serving.protocols import protos, signature, tensors, tfserving, v2

LABELS = ("a", "b", "c")
SEVERAL = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]
SHAPE = {"shape": [2, 3], "parameters": {"names": list(LABELS)}}
KINDS: dict[str, Any] = {
    "binary": (("late",), (0.5,), [0.7, 0.1], {"shape": [2]}, ("BOOL", {"shape": [2]}, [True, False])),
    "regression": (("delay",), (), [12.5, -3.0], {"shape": [2]}, None),
    "multiclass": (LABELS, (), SEVERAL, SHAPE, ("BYTES", {"shape": [2]}, ["a", "c"])),
    "multilabel": (LABELS, (0.25,) * 3, SEVERAL, SHAPE, ("BOOL", SHAPE, [True, False, False, False, True, True])),
    "vector_regression": (LABELS, (), SEVERAL, SHAPE, None),
}


def answered(task):
    outputs, thresholds, scores, *_ = KINDS[task]
    scorer = Scorer(Path("nowhere"), {"carrier": Feature(type="category")}, "UTC", task, outputs, thresholds)
    answers = scorer.answers(np.asarray(scores))
    return scorer, Request("r", "flights", 3, datetime.now(UTC), [None] * 2, [{}] * 2, answers)


@pytest.mark.parametrize("task", KINDS)
def test_version_2_tells_scores_and_decisions_with_their_shapes(task):
    scorer, request = answered(task)
    *_, scores, shape, decision = KINDS[task]
    outputs = v2.reply(v2.Inference(inputs=[]), request, scorer)["outputs"]
    wanted = [{"name": "score", "datatype": "FP64", "data": np.ravel(scores).tolist()} | shape]
    if decision is not None:
        datatype, shape, said = decision
        wanted.append({"name": "decision", "datatype": datatype, "data": said} | shape)
    assert outputs == wanted
    told = v2.outputs_of(scorer)
    assert [(one["name"], one["shape"][0], one["shape"][1:]) for one in told] == [
        (o["name"], -1, o["shape"][1:]) for o in outputs
    ]


@pytest.mark.parametrize("task", KINDS)
def test_tensorflow_serving_tells_what_the_exported_model_answers(task):
    scorer, request = answered(task)
    scores = KINDS[task][2]
    assert tfserving.reply(tfserving.Prediction(instances=[]), request) == {"predictions": scores}
    assert tfserving.reply(tfserving.Prediction(inputs={}), request) == {"outputs": scores}
    tensor = protos.message("tensorflow.TensorProto")()
    tensors.fill(tensor, v2.scores(request), len(scorer.outputs))
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    assert np.reshape(tensor.float_val, shape).tolist() == np.asarray(scores, np.float32).tolist()
    assert signature.outputs(scorer)["score"] == ("DT_FLOAT", (-1, *shape[1:]))


def test_a_model_of_one_input_takes_bare_values():
    scorer, _ = answered("binary")
    for asked in (tfserving.Prediction(instances=["UA", {"b64": "REw="}]), tfserving.Prediction(inputs=["UA", "DL"])):
        assert tfserving.rows(asked, scorer).columns == [{"carrier": "UA"}, {"carrier": "DL"}]
