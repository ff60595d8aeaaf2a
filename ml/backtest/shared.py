"""One training for all policies that ask for the same one: equal rows and settings give equal bits."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml import snapshot, train
from ml.context import Context
from ml.records import Prepared, Trained
from ml.store import digest


def trained(context: Context, shared: Path) -> Trained:
    """The model of a prepared run: taken over where another policy has made it, else trained and left for others.

    Its files are links to the same bytes, so a year of nights under six policies takes the room of one.

    Raises: as `train.run`.
    """
    key = _key(context)
    shared.mkdir(parents=True, exist_ok=True)
    with _alone(shared / f"{key}.lock"):
        own = Path(context.store.location(context.folder))
        if (shared / key).is_dir():
            shutil.copytree(shared / key, own, copy_function=_link, dirs_exist_ok=True)
            return train.run(context)
        before = {path.name for path in own.iterdir()}
        record = train.run(context)
        _publish(own, {path.name for path in own.iterdir()} - before, shared / key)
        return record


def _key(context: Context) -> str:
    """Names a training by night, rows, encoding and, where it begins with the champion's weights, by champion.

    The problem file is the same for all policies of a backtest. A run's name stands in its model.
    """
    champion = context.ledger.champion(context.problem.name) if context.problem.training.warm_start else None
    told = [context.run_key, context.record(Prepared).rows_digest, digest(context.file(snapshot.ENCODING))]
    told += [champion.model_digest] if champion else []
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _publish(own: Path, names: set[str], to: Path) -> None:
    scratch = to.with_name(f"{to.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name in sorted(names):
        if (own / name).is_dir():
            shutil.copytree(own / name, scratch / name, copy_function=_link)
        else:
            os.link(own / name, scratch / name)
    scratch.rename(to)


def _link(source: str, target: str) -> str:
    """A second name for a file; what a killed replay left there gives way."""
    Path(target).unlink(missing_ok=True)
    os.link(source, target)
    return target


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Whoever asks for the same training meanwhile waits for it; the lock ends with the process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
