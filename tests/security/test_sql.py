"""Names from problem files reach PostgreSQL as names, whatever stands in them."""

from contextlib import closing
from datetime import UTC, datetime

import psycopg2
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg2 import sql
from pydantic import ValidationError

from ml import source
from ml.problem import Problem
from ml.window import Window
from tests.integration.state_kit import make_problem

WINDOW, NOW = Window.parse("2013-01-05"), datetime(2013, 1, 6, 8, tzinfo=UTC)
MOST_BYTES = 63  # of a name in PostgreSQL
BREAKS = ('"', "'", ";", "--", "/*", "*/", "%s", "%(a)s", "{}", "{0}", "\\", "$$", "\n", ") OR (1=1", "; DROP TABLE canary; --")
name = st.lists(st.sampled_from(BREAKS) | st.text(st.characters(codec="utf-8", exclude_characters="\0."), max_size=4), min_size=1)
names = st.lists(
    name.map("".join).filter(lambda text: 0 < len(text.encode()) <= MOST_BYTES and not text.startswith("_")),
    min_size=4,
    max_size=4,
    unique=True,
)
FIELDS = ("table", "key", "event_time", "label_time", "available_at", "deleted", "updated_at")


@pytest.fixture(scope="module")
def production(database) -> str:
    """A database with a table that must survive."""
    url: str = database("injection")
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE canary (alive boolean); INSERT INTO canary VALUES (true)")
    return url


def asking(table: str, key: str, moment: str, feature: str) -> Problem:
    """A problem with names that no problem file may hold, past the check of the file."""
    plain = make_problem("late")
    told = {"table": table, "key": key, "event_time": moment, "label": "label", "label_time": "known"}
    return plain.model_copy(
        update={"source": plain.source.model_copy(update=told), "features": {feature: plain.features["carrier"]}}
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(names)
@example(['x"; DROP TABLE canary; --', 'k" OR true --', "m'; --", "f\\"])
@example(["%s", "%(now)s", "{event}", "{}"])
@example(["pg_class", "oid", "relname", "select"])
def test_any_name_is_read_as_a_name(production, four):
    table, key, moment, feature = four
    made = sql.SQL(
        "CREATE TABLE public.{} ({} text, {} timestamptz, {} text, label boolean, known timestamptz);"
        "INSERT INTO public.{} VALUES ('row', '2013-01-05 12:00Z', 'value', true, '2013-01-05 13:00Z')"
    ).format(*map(sql.Identifier, (table, key, moment, feature, table)))
    with closing(psycopg2.connect(production)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(made)
    try:
        with source.read(production, asking(*four), WINDOW, now=NOW) as rows:
            found = pa.Table.from_batches(rows.batches, rows.schema).to_pylist()
        assert [(row[key], row[feature], row["label"]) for row in found] == [("row", "value", True)]
    finally:
        with closing(psycopg2.connect(production)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SELECT alive FROM public.canary")
            assert cursor.fetchall() == [(True,)]
            cursor.execute(sql.SQL("DROP TABLE public.{}").format(sql.Identifier(table)))


@given(st.sampled_from(FIELDS), name.map("".join))
@example("table", 'flights"; DROP TABLE canary; --')
@example("table", "flights\n")
@example("key", "id\n")
@example("table", "a.b.c")
def test_a_problem_file_cannot_even_hold_such_a_name(field, text):
    content = make_problem("late").model_dump()
    plain = text.isascii() and text.replace("_", "a").isalnum() and text.islower() and not text[0].isdigit()
    if plain:
        return
    with pytest.raises(ValidationError, match=field):
        Problem.model_validate(content | {"source": content["source"] | {field: text}})


@pytest.mark.parametrize("text", ["../etc", "a/b", "a.b", "", "A", "x\n", "x" * 41, "naïve", "-x", "x'; --"])
def test_the_name_of_a_problem_cannot_lead_anywhere(text):
    """It names a folder of the store, DAGs, tables, a model in MLflow and a part of addresses."""
    content = make_problem("late").model_dump()
    with pytest.raises(ValidationError, match="name"):
        Problem.model_validate(content | {"problem": content["problem"] | {"name": text}})
