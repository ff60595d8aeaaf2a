"""How far a rollout is, read from the ledger's entries alone."""

from datetime import UTC, datetime

from ml.ledger import Entry
from ml.rollout import serving, under_way

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Book:
    """Entries as the ledger numbers them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, kind: str, key: str, version: int | None, **body: object) -> int:
        number = len(self.entries) + 1
        run_key = f"run-{version}"
        self.entries.append(Entry(number, "p", kind, key, version, run_key, "t", NOW, {"model_digest": "d", **body}, "", ""))
        return number

    def promote(self, version: int) -> int:
        return self.add("promote", f"promote {version}", version)

    def step(self, move: int, version: int, step: int) -> None:
        body = {"mode": "canary", "shares": [0.05, 0.25], "step": step, "began": NOW.isoformat(), "previous": [1, "run-1", "d"]}
        self.add("rollout", f"move {move}, step {step}", version, **body)


def begun() -> tuple[Book, int]:
    """Version 1 is deployed, version 2 at the first step of its rollout."""
    book = Book()
    book.add("deployed", f"move {book.promote(1)}, run a", 1)
    move = book.promote(2)
    book.step(move, 2, 0)
    return book, move


def test_a_promotion_alone_is_no_rollout():
    book = Book()
    assert (under_way([]), serving([])) == (None, None)
    book.promote(1)
    assert (under_way(book.entries), serving(book.entries)) == (None, None)


def test_the_last_step_and_the_last_order_count():
    book, move = begun()
    found = under_way(book.entries)
    assert found is not None
    assert (found.challenger.version, found.previous.version, found.step, found.share, found.order) == (2, 1, 0, 0.05, None)
    assert found.plan()["id"] == f"move {move}"
    book.step(move, 2, 1)
    for order in ("hold", "resume"):
        book.add("rollout_order", f"move {move}, by {order}", 2, order=order)
    found = under_way(book.entries)
    assert found is not None
    assert (found.step, found.share, found.order) == (1, 0.25, "resume")
    assert serving(book.entries).version == 1  # type: ignore[union-attr]


def test_it_is_over_when_it_was_deployed_or_failed_or_another_became_champion():
    for kind, suffix in (("deployed", ", run b"), ("deploy_failed", "")):
        book, move = begun()
        book.add(kind, f"move {move}{suffix}", 2)
        assert under_way(book.entries) is None
    book, move = begun()
    book.promote(3)
    assert under_way(book.entries) is None
    assert serving(book.entries).version == 1  # type: ignore[union-attr]


def test_the_rollout_of_move_1_is_not_that_of_move_12():
    book, _ = begun()
    while len(book.entries) < 11:
        book.add("verdict", f"night {len(book.entries)}", None)
    move = book.promote(3)
    assert move == 12
    assert under_way(book.entries) is None
    book.step(move, 3, 0)
    assert under_way(book.entries).challenger.version == 3  # type: ignore[union-attr]
