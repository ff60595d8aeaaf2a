"""Where a training stands, so that a killed one goes on and ends with the very weights of an undisturbed one."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ml.train.learner import Learner


@dataclass
class State:
    """What the epochs so far came to; `waited` counts those since the best one, `cpu_s` is what they took, all threads."""

    epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=lambda: {"loss": [], "val_loss": []})
    best: list[npt.NDArray[Any]] = field(default_factory=list)
    best_loss: float = float("inf")
    best_epoch: int = 0
    waited: int = 0
    cpu_s: float = 0.0


@dataclass
class Checkpoint:
    """A file that is replaced in one step, at most every `every_s` seconds.

    Attributes:
        inputs: what the training worked from; a file of other inputs is not gone on from.
        saved: told after the file was written.
    """

    path: Path
    inputs: str
    every_s: float
    saved: Callable[[], None] = lambda: None
    last: float = field(default_factory=time.monotonic)

    def save(self, learner: "Learner", state: State) -> None:
        """Write all that later epochs depend on, when it is time."""
        if time.monotonic() - self.last < self.every_s:
            return
        content = {f"variable.{place}": np.asarray(variable) for place, variable in enumerate(learner.variables)}
        content |= {f"best.{place}": weights for place, weights in enumerate(state.best)}
        about = {name: value for name, value in asdict(state).items() if name != "best"} | {"inputs": self.inputs}
        unfinished = self.path.with_name(f"{self.path.name}.writing")
        with unfinished.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), allow_pickle=False, **content)
        unfinished.replace(self.path)
        self.last = time.monotonic()
        self.saved()

    def restore(self, learner: "Learner") -> State | None:
        """Put the learner where the file says; None when there is none, or it is of other inputs."""
        if not self.path.exists():
            return None
        with np.load(self.path, allow_pickle=False) as content:
            about = json.loads(str(content["about"]))
            if about.pop("inputs") != self.inputs:
                return None
            for place, variable in enumerate(learner.variables):
                variable.assign(content[f"variable.{place}"])
            best = [content[f"best.{place}"] for place in range(sum(name.startswith("best.") for name in content.files))]
        return State(best=best, **about)
