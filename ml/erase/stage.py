"""The erasure from first search to ledger; killed anywhere and run again, it ends the same.

What says which rows are the person's goes last: the days of `raw`, then its old files. Before anything else the person is
kept out, so that no night brings them back meanwhile.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from ml import database, privacy, requests
from ml.context import Context
from ml.erase import files, runs, search
from ml.erase.person import Person
from ml.erase.places import Found, places
from ml.erase.records import Erased, Touched
from ml.errors import ConfigError, DataError
from ml.pages import validation
from ml.records import Registered
from ml.requests import feedback
from ml.snapshot import REPORT, ROWS

log = logging.getLogger(__name__)
KIND = "erase"
LEAST_TEXT = 40  # characters by which a row of the request log without a key is taken for theirs
LOCK = 0x4552_4153  # any number that is ours: erasures of a problem wait for each other on this advisory lock


@dataclass(frozen=True)
class Asked:
    """Who is to be erased, as their names in the source and in the tables, by whom and why."""

    names: frozenset[str]
    tokens: tuple[str, ...]
    actor: str
    why: str
    now: bool


def run(context: Context, subject: str, *, actor: str, why: str = "", dry_run: bool = False, now: bool = False) -> Erased:
    """Erase a person, or with `dry_run` only say where they are.

    Args:
        subject: a value of [privacy] subject, as the source has it or as it is stored.
        now: remove old files of the tables at once instead of after [retention] versions_days.
    Raises:
        DataError: nobody of that name was found or ever erased; or the search still finds them where it should not.
        ConfigError: there is no name, or the reason holds it, which the ledger could never forget.
        TransientError: the database, the store or MLflow is away; run it again.
    """
    if not subject or _names(why, subject):
        raise ConfigError("Name the person, and not in the reason: the ledger cannot forget. A ticket's number is a reason.")
    database.migrate(context.settings.database_url)
    with _alone(context):
        return _run(context, _asked(context, subject, actor, why, now), dry_run)


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    """Two erasures at once would each write back the frozen rows that the other took out."""
    with closing(database.connect(context.settings.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LOCK, context.problem.name])
        yield


def _run(context: Context, asked: Asked, dry_run: bool) -> Erased:
    person = _recognised(context, asked)
    before, known = _search(context, person), files.asked_at(context, asked.tokens)
    if not before.total and known is None:
        raise DataError(
            f"Nobody of that name was found: no {person.column} in {context.store.location('tables')}, in the runs or in the "
            "request log is exactly this, and nobody of that name was erased before. Upper and lower case differ."
        )
    touched = _touched(context, person, asked)
    replaced = [] if dry_run else _erase(context, person, asked, before)
    after = before if dry_run else _search(context, person)
    due, old = files.due(context, asked.tokens)
    erased = Erased(
        problem=context.problem.name,
        token=asked.tokens[0],
        column=person.column,
        in_texts=bool(person.distinct),
        dry_run=dry_run,
        asked_at=context.settings.now(),
        erased_before=known,
        due=due if old else None,
        num_old_files=len(old),
        places=places(before, after, due),
        runs=touched,
        mlflow=tuple(replaced),
    )
    return erased if dry_run else _written_down(context, asked, erased, new=before.fresh)


def _names(why: str, subject: str) -> bool:
    return subject in why if len(subject) > 3 else subject in why.split()


def _asked(context: Context, subject: str, actor: str, why: str, now: bool) -> Asked:
    salt = privacy.salt_of(context.store)
    names = frozenset({subject, privacy.stored(context.problem, subject, salt)})
    return Asked(names, files.tokens_of(context, {privacy.token(name, salt) for name in names}), actor, why, now)


def _recognised(context: Context, asked: Asked) -> Person:
    """The person with keys and texts; files without the column are looked at again, for rows that only a key tells."""
    problem, store = context.problem, context.store
    texts = frozenset(name for name, feature in problem.features.items() if feature.type == "text")
    person = Person(privacy.subject_of(problem), problem.source.key, asked.names)
    found, all_named = search.identify(store, person, texts)
    return found if all_named or found == person else search.identify(store, found, texts)[0]


def _search(context: Context, person: Person) -> Found:
    in_log, in_feedback = _in_log(context, person)
    return Found(
        in_files=search.everywhere(context.store, person),
        in_log=in_log,
        in_feedback=in_feedback,
        live=files.live(context),
        every=tuple(context.store.names()),
        copies=search.copies(context.store, person),
    )


def _in_log(context: Context, person: Person, *, remove: bool = False) -> tuple[int, int]:
    """Rows of the request log, and feedback about them."""
    keys = person.columns["_key"] | (person.names if person.column == person.key else frozenset())
    texts = [text for text in person.texts if len(text) >= LEAST_TEXT]
    settings = context.settings
    url, name = settings.database_url, context.problem.name
    told = feedback.about(url, settings.spool, name, keys, person.names, remove=remove)  # first: the log says whose a request is
    return requests.about(url, settings.spool, name, keys, texts, remove=remove), told


def _erase(context: Context, person: Person, asked: Asked, before: Found) -> list[str]:
    """Everything but the proof; returns the files that were replaced in MLflow."""
    store, began = context.store, time.monotonic()
    files.note(context, asked.tokens, before.old, [name for name in before.in_files if _is_text(name)])
    for run_key in runs.rows_of(store, person, asked.tokens[0]):
        runs.erase_rows(store, run_key, person, asked.tokens[0])
    for name in before.in_files:
        if not (search.is_data(name) or name.endswith(f"/{ROWS}") or runs.is_bound(name)):
            (runs.erase_parquet if name.endswith(".parquet") else runs.scrub)(store, name, person)
    replaced = _replace_in_mlflow(context, asked.tokens)
    files.rewrite(context, person, before.in_files)
    time.sleep(max(0.0, privacy.LEARNED_WITHIN_S + 0.5 - (time.monotonic() - began)))  # running services know by now
    _in_log(context, person, remove=True)
    inside, still = files.live(context), search.everywhere(store, person, "tables")
    files.note(context, asked.tokens, [name for name in still if search.is_data(name) and name not in inside], [])
    files.purge(context, at_once=asked.tokens if asked.now else None)
    search.forget_copies(store, person)
    shutil.rmtree(context.settings.backtests / context.problem.name, ignore_errors=True)  # what they replay begins anew
    return replaced


def _is_text(name: str) -> bool:
    return name.startswith("runs/") and not name.endswith(".parquet") and not runs.is_bound(name)


def _replace_in_mlflow(context: Context, tokens: tuple[str, ...]) -> list[str]:
    """Put the changed files of runs in the place of their copies in MLflow, where there are any."""
    replaced, names = [], files.pending(context, tokens)
    registry = context.registry
    for name in names:
        if context.store.exists(name):
            _, run_key, *rest = name.split("/")
            artifact = _artifact(context.of_run(run_key), "/".join(rest))
            if artifact and registry.replace_file(context.problem.name, run_key, artifact, context.store.fetch(name)):
                replaced.append(name)
    if names:
        files.replaced(context, tokens)
    return replaced


def _artifact(run: Context, file: str) -> str:
    """What MLflow calls a file of a run; empty for the page with values of rows, in whose place it has one without."""
    if not run.store.exists(run.name(REPORT)):
        return file
    return {validation.PAGE: "", REPORT: validation.PAGE}.get(file, file)


def _touched(context: Context, person: Person, asked: Asked) -> tuple[Touched, ...]:
    """Runs whose frozen rows held the person, with the versions that came of them."""
    ledger, store, problem = context.ledger, context.store, context.problem.name
    champion = ledger.champion(problem)
    made: dict[str, set[int]] = {}
    for entry in ledger.entries(problem):
        if entry.run_key and entry.version is not None and entry.kind in ("promote", "rollback", "deployed"):
            made.setdefault(entry.run_key, set()).add(entry.version)
    found = []
    for run_key, rows in runs.rows_of(store, person, asked.tokens[0]).items():
        run = context.of_run(run_key)
        version = run.record(Registered).version if run.has(Registered) else None
        versions = made.get(run_key, set()) | ({version} if version is not None else set())
        serving = champion is not None and champion.run_key == run_key
        found.append(Touched(run_key=run_key, rows=rows, versions=tuple(sorted(versions)), champion=serving))
    return tuple(found)


def _written_down(context: Context, asked: Asked, erased: Erased, *, new: bool) -> Erased:
    """The ledger's entry; a person who came back, from a backup say, gets another one."""
    ledger = context.ledger
    earlier = [e for e in ledger.entries(erased.problem) if e.kind == KIND and e.key.split("#")[0] == erased.token]
    if not earlier or new:
        key = f"{erased.token}#{len(earlier) + 1}" if earlier else erased.token
        body = erased.model_dump(mode="json", exclude={"token", "problem", "asked_at"}) | {"why": asked.why}
        ledger.append(erased.problem, KIND, key=key, actor=asked.actor, run_key=context.run_key, body=body)
    log.info("erase: %s was found %d times, %d runs held them", erased.token, erased.found, len(erased.runs))
    if erased.unexplained:
        told = ", ".join(f"{place.name} ({place.after})" for place in erased.unexplained)
        raise DataError(
            f"The search still finds the person in {told}. A run that read them before may just have ended: run this again."
        )
    return erased
