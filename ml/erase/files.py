"""The tables: live days without the person at once, old files of theirs when the retention is over."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from ml.context import Context
from ml.erase.person import Person
from ml.privacy import FORGOTTEN
from ml.tables import Table

TABLES = ("labels", "decisions", "quarantine", "valid", "raw")  # raw last: it says longest which rows are theirs


def table(context: Context, name: str) -> Table:
    """One of the tables; `decisions` and `labels` are there only where people decided or said something."""
    return Table(context.store.location(f"tables/{name}"))


def rewrite(context: Context, person: Person, found: Counter[str]) -> None:
    """Commit the days that hold the person without them.

    Args:
        found: data files that hold them, from the search.
    """
    for name in TABLES:
        one = table(context, name)
        files = one.files() if one.exists else {}
        days = [day for day, held in files.items() if any(f"tables/{name}/{file}" in found for file in held)]
        if days:
            one.rewrite(days, person.others, note={"stage": "erase", "run_key": context.run_key})


def live(context: Context) -> set[str]:
    """Names in the store of the data files that the newest versions name."""
    tables = {name: table(context, name) for name in TABLES}
    held = {name: one.files().values() for name, one in tables.items() if one.exists}
    return {f"tables/{name}/{file}" for name, days in held.items() for files in days for file in files}


def note(context: Context, tokens: Sequence[str], old: Iterable[str], replace: Sequence[str]) -> None:
    """Keep the person out from now on; write down which old files must go and when, and what to replace in MLflow."""
    now = context.settings.now()
    held = _held(context, tokens) or {"asked_at": now.isoformat(), "replace": []}
    due = datetime.fromisoformat(held["asked_at"]) + timedelta(days=context.problem.retention.versions_days)
    pending = sorted({*held["replace"], *replace}) if replace else held["replace"]
    context.store.write_json(_name(tokens), held | {"files": sorted(old), "due": due.isoformat(), "replace": pending})


def asked_at(context: Context, tokens: Sequence[str]) -> datetime | None:
    """When the person was erased first, None when never."""
    held = _held(context, tokens)
    return datetime.fromisoformat(held["asked_at"]) if held else None


def due(context: Context, tokens: Sequence[str]) -> tuple[datetime | None, list[str]]:
    """Old files that wait for the end of the retention, and when that is."""
    held = _held(context, tokens)
    return (datetime.fromisoformat(held["due"]), held["files"]) if held else (None, [])


def pending(context: Context, tokens: Sequence[str]) -> list[str]:
    """Files whose copies in MLflow may still hold the person, of a run that was killed too."""
    return list((_held(context, tokens) or {"replace": []})["replace"])


def replaced(context: Context, tokens: Sequence[str]) -> None:
    """Note that MLflow has them all."""
    context.store.write_json(_name(tokens), _held(context, tokens) | {"replace": []})


def tokens_of(context: Context, tokens: Iterable[str]) -> tuple[str, ...]:
    """All tokens under which a person is kept out already, who may be asked about by either name; else those given."""
    wanted = set(tokens)
    held = (name.removeprefix(f"{FORGOTTEN}/").removesuffix(".json").split("+") for name in context.store.names(FORGOTTEN))
    return tuple(next((one for one in held if wanted & set(one)), sorted(wanted)))


def _held(context: Context, tokens: Sequence[str]) -> Any:
    return context.store.read_json(_name(tokens)) if context.store.exists(_name(tokens)) else None


def _name(tokens: Sequence[str]) -> str:
    return f"{FORGOTTEN}/{'+'.join(tokens)}.json"


def purge(context: Context, *, at_once: Sequence[str] | None = None) -> list[str]:
    """Remove old files of erased people whose time is over, those of versions that a model used among them.

    Args:
        at_once: tokens of one person whose files go now.
    Returns: what was removed.
    """
    gone: list[str] = []
    store, now = context.store, context.settings.now()
    wanted = None if at_once is None else _name(at_once)
    for name in store.names(FORGOTTEN):
        held = store.read_json(name)
        if not held["files"] or (name != wanted if wanted else datetime.fromisoformat(held["due"]) > now):
            continue
        inside = live(context)
        old = [file for file in held["files"] if file not in inside]
        for file in sorted(old, key=lambda file: TABLES.index(file.split("/")[1])):
            store.delete(file)
        store.write_json(name, held | {"files": [], "purged_at": now.isoformat()})
        gone += old
    return gone
