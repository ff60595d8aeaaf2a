"""From files to the places that people know, with what was found there before and after."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ml.erase.records import Place
from ml.erase.runs import is_bound
from ml.erase.search import is_data

REQUESTS, FEEDBACK, COPIES = "request log", "feedback", "local copies of the store"


@dataclass(frozen=True)
class Found:
    """One search: hits per file of the store, in the request log and in feedback, files that newest versions name, all names."""

    in_files: Counter[str]
    in_log: int
    in_feedback: int
    live: set[str]
    every: tuple[str, ...]
    copies: int

    @property
    def total(self) -> int:
        """Hits in all."""
        return self.in_files.total() + self.in_log + self.in_feedback + self.copies

    @property
    def old(self) -> list[str]:
        """Data files with hits that only old versions of a table name, or none."""
        return [name for name in self.in_files if is_data(name) and name not in self.live]

    @property
    def fresh(self) -> bool:
        """Whether the person was anywhere but in old files of tables and in what cannot change."""
        return bool(
            self.in_log or self.in_feedback or {name for name in self.in_files if not is_bound(name)}.difference(self.old)
        )

    def by_place(self) -> Counter[str]:
        """Hits per place, places without any among them."""
        counts = Counter(dict.fromkeys((place_of(name, self.live) for name in self.every), 0))
        for name, count in self.in_files.items():
            counts[place_of(name, self.live)] += count
        counts[REQUESTS] = self.in_log
        counts[FEEDBACK] = self.in_feedback
        counts[COPIES] = self.copies
        return counts


def place_of(name: str, live: set[str]) -> str:
    """What a person would call the place of a file."""
    first, *rest = name.split("/")
    if first == "tables" and len(rest) > 1:
        if rest[1] == "_delta_log":
            return f"log of table {rest[0]}"
        return f"table {rest[0]}" if name in live else f"old files of table {rest[0]}"
    if is_bound(name):
        return "models and their encodings"
    if first == "runs":
        return "frozen rows and scores of runs" if name.endswith(".parquet") else "records and pages of runs"
    return "other files"


def places(before: Found, after: Found, due: datetime | None) -> tuple[Place, ...]:
    """The proof, place by place."""
    return tuple(_places(before.by_place(), after.by_place(), due, after))


def _places(before: Counter[str], after: Counter[str], due: datetime | None, found: Found) -> Iterator[Place]:
    for name in sorted({*before, *after}):
        yield Place(name=name, before=before[name], after=after[name], remains=_remains(name, due, found) if after[name] else "")


def _remains(name: str, due: datetime | None, found: Found) -> str:
    if name.startswith("old files") and due:
        return f"until {due:%Y-%m-%d}, when [retention] versions_days is over; with --now they go at once"
    bound = sorted(one for one in found.in_files if is_bound(one) and place_of(one, found.live) == name)
    if bound and sum(found.in_files[one] for one in bound) == found.by_place()[name]:
        return f"cannot change without breaking a digest: {', '.join(bound)}; train anew, then remove the run"
    return ""
