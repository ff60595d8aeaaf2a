"""Scores rows with the model folder this file lies in, without TensorFlow: `pip install numpy ai-edge-litert`.

`Model(folder).score([{"carrier": "UA", "sched_dep": "2013-01-31T05:15:00-05:00", ...}])` wants every column of encoder.json;
None says missing, times are ISO texts with an offset or datetimes."""

import json
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from ai_edge_litert.interpreter import Interpreter

LARGEST, NO_TIME = 8.0, 1440  # where standardised numbers are cut; the minute of a day that is missing
WORD = re.compile(b"[a-z0-9]+")
ANGLES = np.arange(NO_TIME, dtype=np.float32) * np.float32(2 * np.pi / NO_TIME)
CLOCK = np.vstack([np.stack([np.sin(ANGLES), np.cos(ANGLES), 0 * ANGLES], 1), [[0, 0, 1]]]).astype(np.float32)
Array = np.ndarray[Any, Any]


class Encoder:
    """Rows to what the network reads: `categories` int32 (n, c), `numbers` float32 (n, m), `tokens` int32 (n, t)."""

    def __init__(self, learned: Mapping[str, Any]) -> None:
        self.zone, self.plan = ZoneInfo(learned["timezone"]), learned
        for one in [*learned["categories"], *learned["texts"]]:
            one["index"] = {value.encode(): place for place, value in enumerate(one["vocabulary"], one["first"])}
        scales = [(one["median"], one["mean"], one["deviation"]) for one in learned["numbers"]]
        self.median, self.mean, self.deviation = np.array(scales, np.float32).reshape(-1, 3).T
        self.names = [one["name"] for one in learned["numbers"]]
        self.scaled = np.array([one["place"] for one in learned["numbers"]], int)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
        """Encode rows."""
        packed: list[list[int]] = [[]] * self.plan["widths"]["categories"]
        numbers = np.empty((len(rows), self.plan["widths"]["numbers"]), np.float32)
        for one in self.plan["categories"]:
            index, name, length, unseen = one["index"], one["name"], one["bytes"], one["first"] - 1
            packed[one["place"]] = [index.get((row[name] or "").encode()[:length], unseen) for row in rows]
        for time in self.plan["times"]:
            read = [self._local(row[time["name"]]) for row in rows]
            packed[time["place"]] = [time["first"] + day for day, _, _ in read]
            packed[time["place"] + 1] = [time["first"] + 8 + hour for _, hour, _ in read]
            numbers[:, time["number"] : time["number"] + 3] = CLOCK[[minute for _, _, minute in read]]
        with np.errstate(over="ignore"):  # a number beyond float32 is infinite, which is as good as missing
            known = np.array([[row[name] for name in self.names] for row in rows], np.float32)
        missing = ~np.isfinite(known)
        standard = (np.where(missing, self.median, known) - self.mean) * (np.float32(1) / self.deviation)
        numbers[:, self.scaled], numbers[:, self.scaled + 1] = np.minimum(np.maximum(standard, -LARGEST), LARGEST), missing
        words = [[word for one in self.plan["texts"] for word in _words(row[one["name"]] or "", one)] for row in rows]
        categories = np.ascontiguousarray(np.array(packed, np.int32).reshape(-1, len(rows)).T)
        return {"categories": categories, "numbers": numbers, "tokens": np.array(words, np.int32)}

    def _local(self, value: Any) -> tuple[int, int, int]:
        """Weekday 1 to 7 from Monday, hour 1 to 24, minute of the day; 0, 0, NO_TIME when missing."""
        if value is None:
            return 0, 0, NO_TIME
        local = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(self.zone)
        return local.isoweekday(), local.hour + 1, local.hour * 60 + local.minute


def _words(text: str, column: Mapping[str, Any]) -> list[int]:
    words = WORD.findall(text.encode().lower())[: column["length"]] or [b""]
    return [column["index"].get(word, 1) for word in words] + [0] * (column["length"] - len(words))


class Model:
    """The network in a LiteRT file behind the encoder; any thread may call it."""

    def __init__(self, folder: Path, core: str = "core.tflite") -> None:
        self.encoder = Encoder(json.loads((folder / "encoder.json").read_text()))
        self.content, self.own = (folder / core).read_bytes(), threading.local()  # an interpreter serves one thread

    def score(self, rows: Sequence[Mapping[str, Any]]) -> Array:
        """Probabilities, or numbers in the label's unit: shape (n,), or (n, k) of a model with several outputs."""
        return self.run(self.encoder(rows))

    def run(self, packed: Mapping[str, Array]) -> Array:
        """Score encoded rows; single ones have an interpreter of their own, as a change of size costs more than a row."""
        slot = "one" if (size := len(packed["numbers"])) == 1 else "many"
        shaped, interpreter, inputs, output = getattr(self.own, slot, None) or (0, *self._interpreter())
        if shaped != size:
            for name, place in inputs:
                interpreter.resize_tensor_input(place, packed[name].shape)
            interpreter.allocate_tensors()
            setattr(self.own, slot, (size, interpreter, inputs, output))
        for name, place in inputs:
            interpreter.set_tensor(place, packed[name])
        interpreter.invoke()
        answer: Array = interpreter.get_tensor(output)
        return answer[:, 0] if answer.shape[1] == 1 else answer

    def _interpreter(self) -> tuple[Any, list[tuple[str, int]], int]:
        new = Interpreter(model_content=self.content, num_threads=1)
        inputs = [(one["name"].split(":")[0].removeprefix("serving_default_"), one["index"]) for one in new.get_input_details()]
        return new, inputs, new.get_output_details()[0]["index"]
