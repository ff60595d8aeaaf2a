"""Rows that stand in more than one part of a split: by key, and by content under another key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml.understand.columns import Bools, Column, Ints
from ml.understand.findings import Finding, Look

FEWEST = 200  # rows of each side
EXCESS, SURE = 0.01, 4.0  # share of copies beyond what chance makes, and its standard errors
COARSE = 0.5  # where so many rows are equal by chance, copies cannot be told


@dataclass(frozen=True)
class Parts:
    """Rows that teach and rows that judge. `frozen`: they are a run's snapshot, not only older and newest rows."""

    keys: Sequence[str]
    judging: Bools
    columns: Sequence[Column]
    labels: Ints
    frozen: bool

    @property
    def names(self) -> tuple[str, str]:
        """What the two parts are called."""
        return ("the training part", "the test part") if self.frozen else ("the days before", "the newest days")


@dataclass(frozen=True)
class Twins:
    """Share of judging rows with an equal row among the teaching ones, and the same between two halves of the latter."""

    share: float
    usual: float
    rows: int
    kind: str = "rows"

    @property
    def found(self) -> bool:
        """Whether there are more than the data's own coarseness makes."""
        error = np.sqrt(self.usual * (1 - self.usual) / max(self.rows, 1))
        return bool(self.share - self.usual > max(EXCESS, self.usual / 2, SURE * error))


def look(parts: Parts) -> Look:
    """The check `duplicates`."""
    teaching, judging = int((~parts.judging).sum()), int(parts.judging.sum())
    if min(teaching, judging) < FEWEST:
        return Look("duplicates", unknown=f"it takes {FEWEST} rows in each part; there are {teaching:,} and {judging:,}")
    found = []
    if shared := shared_keys(parts):
        found.append(_keys(shared, parts))
    alike = twins(parts)
    if alike.found and alike.usual < COARSE:
        found.append(_twins(alike, parts))
    told = f"{alike.share:.1%} of {alike.rows:,} {alike.kind} have an equal one in {parts.names[0]}, {alike.usual:.1%} is usual"
    if not found and alike.usual >= COARSE:
        return Look(
            "duplicates", unknown=f"no key is in both parts; {told}: with so few values, copies cannot be told from chance"
        )
    return Look("duplicates", tuple(found), clean=f"no key is in both parts; {told}")


def shared_keys(parts: Parts) -> list[str]:
    """Keys in both parts, sorted."""
    keys = np.asarray(parts.keys, dtype=object)
    return sorted(set(keys[parts.judging]) & set(keys[~parts.judging]))


def twins(parts: Parts) -> Twins:
    """Equal rows, features and label, whatever their keys and times.

    Rows of few columns with few values are equal by chance, so the share is held against that between a random sample
    of the teaching rows, as many as there are judging ones, and the rest of them. Where enough rows have a text only
    these are looked at: texts are hardly ever equal by chance.
    """
    codes, chosen, kind = _signatures(parts), np.ones(len(parts.keys), bool), "rows"
    for column in parts.columns:
        filled = ~column.missing if column.kind == "text" else chosen
        if column.kind == "text" and min((filled & parts.judging).sum(), (filled & ~parts.judging).sum()) >= FEWEST:
            chosen, kind = filled, f"rows with a {column.name}"
    teaching, judging = np.flatnonzero(chosen & ~parts.judging), np.flatnonzero(chosen & parts.judging)
    size = min(len(judging), len(teaching) // 2)
    order = np.random.default_rng(0).permutation(teaching)
    usual = np.isin(codes[order[:size]], codes[order[size:]]).mean()
    return Twins(float(np.isin(codes[judging], codes[teaching]).mean()), float(usual), len(judging), kind)


def _signatures(parts: Parts) -> Ints:
    """One number per row; equal rows have equal ones. Times are left out: they decide the part."""
    total = np.asarray(parts.labels, np.int64)
    for column in parts.columns:
        if column.kind == "datetime":
            continue
        codes = column.values.dictionary_encode(null_encoding="encode").indices.to_numpy(zero_copy_only=False)
        _, total = np.unique(total * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)
    return np.asarray(total, np.int64)


def _keys(shared: list[str], parts: Parts) -> Finding:
    first, second = parts.names
    return Finding(
        check="duplicates",
        severity="serious" if parts.frozen else "note",
        subject="keys",
        sentence=f"{len(shared):,} keys stand in both {first} and {second}.",
        matters="A test that holds what training saw praises memory, not judgement."
        if parts.frozen
        else "Most often these are events that were moved to a later day; the newest row of a key counts in a split.",
        todo="Look why the key repeats; a key must name one row.",
        numbers={"keys": len(shared)},
    )


def _twins(alike: Twins, parts: Parts) -> Finding:
    first, second = parts.names
    return Finding(
        check="duplicates",
        severity="serious" if parts.frozen else "warning",
        subject="equal rows",
        sentence=f"{alike.share:.1%} of {alike.rows:,} {alike.kind} of {second} equal a row of {first} in every feature and "
        f"the label, under another key; {alike.usual:.1%} is usual in these data.",
        matters="Copies in both parts let a model that only remembers look good.",
        todo="Look for rows that the source wrote twice, such as a replayed feed with new keys.",
        numbers={"share": alike.share, "usual": alike.usual, "rows": alike.rows},
    )


def parts_of(keys: Sequence[str], judging: Bools, columns: Mapping[str, Column], labels: Ints) -> Parts:
    """Older rows against the newest ones, where no run has frozen a split."""
    return Parts(keys, judging, [column for column in columns.values() if column.declared], labels, frozen=False)


def of_snapshot(rows: pa.Table, columns: Sequence[Column], labels: Ints) -> Parts:
    """The parts of a run: `_key` and `_part` of its frozen rows, and a number that rows with the same label share."""
    part = np.asarray(rows["_part"].to_pylist(), dtype=str)
    return Parts(rows["_key"].to_pylist(), part == "test", columns, labels, frozen=True)
