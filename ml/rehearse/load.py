"""The load test: candidate and champion, each in a service of its own, under ever more connections, beyond the knee."""

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack

from ml.alone import Row
from ml.context import Context
from ml.ledger import Champion
from ml.records import Load, Loaded, Step, Trained
from ml.rehearse import client, rows
from ml.rehearse.bench import BATCH_ROWS
from ml.rehearse.scratch import Scratch, serving
from ml.rehearse.stage import CANDIDATE, CHAMPION, prepared

log = logging.getLogger(__name__)
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64)
STEP_S = 1.5  # per model; about half a minute in all
WARM_S = 0.5
MOST_ROWS = 500
SHARE = 0.9


def run(context: Context, *, connections: Sequence[int] = CONNECTIONS, step_s: float = STEP_S) -> Loaded:
    """Load a run's candidate, beside the champion where there is one, and write `load.json`.

    Services take turns, step by step, so that a busy machine is busy for both. The client shares the machine with the service:
    rates are what is left of it.

    Raises: DataError: a service does not start, or does not answer. TransientError: database or store are away.
    """
    trained, champion = context.record(Trained), context.ledger.champion(context.problem.name)
    pair, asked = prepared(context, trained, champion)
    versions = {CHAMPION: champion, CANDIDATE: Champion((pair.version or 0) + 1, context.run_key, trained.model_digest)}
    with ExitStack() as stack:
        found = {}
        for name, folder in pair.folders.items():
            version, own = versions[name], rows.only(asked.rows[:MOST_ROWS], pair.columns_of(name))
            if version is not None:
                found[name] = (stack.enter_context(serving(context, version, folder, own[0])), own)
        loads = _loaded(found, connections, step_s)
    return context.write(
        Loaded(
            batch_rows=BATCH_ROWS,
            candidate=loads[CANDIDATE],
            champion=loads.get(CHAMPION),
            champion_version=pair.version if CHAMPION in loads else None,
        )
    )


def knee(steps: Sequence[Step]) -> int:
    """The fewest connections that bring nine tenths of the highest rate."""
    highest = max(step.per_second for step in steps)
    return next(step.connections for step in steps if step.per_second >= SHARE * highest)


def _loaded(found: dict[str, tuple[Scratch, list[Row]]], connections: Sequence[int], step_s: float) -> dict[str, Load]:
    single = {name: _asked(scratch, own, 1) for name, (scratch, own) in found.items()}
    several = {name: _asked(scratch, own, BATCH_ROWS) for name, (scratch, own) in found.items()}
    steps: dict[str, list[Step]] = {name: [] for name in found}
    for name, (scratch, _) in found.items():
        client.drive(scratch.port, single[name], connections=max(connections), seconds=WARM_S)
    for number in connections:
        for name, (scratch, _) in found.items():
            steps[name].append(client.drive(scratch.port, single[name], connections=number, seconds=step_s))
            log.info("load: %s, %d connections: %.0f a second", name, number, steps[name][-1].per_second)
    return {
        name: Load(
            start_s=scratch.start_s,
            steps=tuple(steps[name]),
            knee=(most := knee(steps[name])),
            batch=client.drive(scratch.port, several[name], connections=most, seconds=step_s),
            memory_mb=scratch.memory_mb,
        )
        for name, (scratch, _) in found.items()
    }


def _asked(scratch: Scratch, own: Sequence[Row], size: int) -> list[bytes]:
    """Requests of `size` rows each."""
    bodies = [json.dumps({"rows": own[start : start + size]}).encode() for start in range(0, len(own), size)]
    return [client.request(scratch.path, body, host=f"127.0.0.1:{scratch.port}", token=scratch.token) for body in bodies]
