"""Who is kept out, and the salt that everything hidden hangs on."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from ml import privacy
from ml import problem as problems
from ml.errors import ConfigError, TransientError
from ml.settings import PROJECT
from ml.store import Store

FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
HASHING = FLIGHTS.model_copy(update={"privacy": FLIGHTS.privacy.model_copy(update={"redact": {"flight_id": "hash"}})})


def forget(store: Store, *names: str) -> None:
    tokens = sorted(privacy.token(name, privacy.salt_of(store)) for name in names)
    store.write_json(f"{privacy.FORGOTTEN}/{'+'.join(tokens)}.json", {})


@pytest.fixture(params=["disk", "s3"])
def store(request, tmp_path):
    if request.param == "disk":
        return Store(tmp_path / "store")
    return Store(f"s3://{request.getfixturevalue('bucket')}/store", tmp_path / "cache")


def test_the_salt_is_made_once_whoever_comes_first(store):
    with ThreadPoolExecutor(8) as threads:
        salts = set(threads.map(lambda _: privacy.salt_of(store), range(16)))
    assert len(salts) == 1 and len(salts.pop()) == privacy.SALT_BYTES
    assert not store.create(privacy.SALT, b"another")
    assert store.create("new", b"content") and store.read("new") == b"content"


def test_only_rows_of_erased_people_are_left_out(store):
    rows = pa.record_batch({"flight_id": ["a", "ab", None, "a ", "A", "b"], "n": range(6)})
    assert privacy.forgotten(FLIGHTS, store).without(rows) is rows  # nobody was erased
    forget(store, "a")
    known = privacy.forgotten(FLIGHTS, store)
    assert known.without(rows)["n"].to_pylist() == [1, 2, 3, 4, 5]
    assert known.without(pa.Table.from_batches([rows]))["n"].to_pylist() == [1, 2, 3, 4, 5]
    assert known.without(rows.select(["n"])).num_rows == 6
    privacy.refuse_if_more(known, FLIGHTS, store)
    forget(store, "b")
    with pytest.raises(TransientError, match="Run this again"):
        privacy.refuse_if_more(known, FLIGHTS, store)


def test_a_hashed_person_is_known_by_both_names(store):
    hidden = privacy.stored(HASHING, "a", privacy.salt_of(store))
    assert hidden.startswith("h:")
    forget(store, "a", hidden)
    known = privacy.forgotten(HASHING, store)
    assert known.holds("a") and known.holds(hidden) and not known.holds("b")


def test_without_the_salt_nobody_is_let_in_unseen(store):
    forget(store, "a")
    store.delete(privacy.SALT)
    with pytest.raises(ConfigError, match="is gone"):
        privacy.forgotten(FLIGHTS, store)
