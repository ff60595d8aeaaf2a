"""Does a single column know the answer? Each is asked alone, on rows that did not teach it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.metrics import metric
from ml.understand.columns import Bools, Cells, Column, Floats, Ints, cells
from ml.understand.findings import Finding, Look
from ml.understand.rates import Rate, by_cell

FEWEST = 50  # labelled rows of each class; below, chance alone predicts
CERTAIN, STRIKING, AHEAD = 0.95, 0.80, 0.10  # AUC of one column; AHEAD: above the best of the ordinary ones
PURE, BROAD = 0.98, 0.01  # a cell with at least BROAD of the rows whose rate surely exceeds PURE
BINS = 20
VALUES = 5000  # values of a category that are told apart
WORDS = 500
PRIOR = 20.0  # rows of the overall rate that each cell starts with
FILLED, EMPTY = 0.2, 0.01


@dataclass(frozen=True)
class Predictor:
    """How well one column predicts alone. `way` says what of it: its values, or whether it is missing."""

    column: str
    way: Literal["values", "being filled", "words"]
    auc: float


def predictors(columns: Sequence[Column], labels: Floats, halves: Bools) -> list[Predictor]:
    """Every column alone, best first; each half of the labelled rows is scored by what the other half taught.

    Args:
        labels: shape (n,), NaN where unknown; both classes have at least FEWEST rows.
        halves: shape (n,), which half a row is in.
    """
    known = np.flatnonzero(~np.isnan(labels))
    truth, half = labels[known], halves[known]
    found = []
    for column in columns:
        ours = column.taken(known)
        if column.kind == "text":
            found.append(Predictor(column.name, "words", _auc(truth, _words(ours, truth, half))))
        else:
            found.append(Predictor(column.name, "values", _auc(truth, _cross(_codes(ours), truth, half))))
        missing = ours.missing
        if 0 < missing.sum() < len(missing):
            found.append(Predictor(column.name, "being filled", _auc(truth, _cross(missing.astype(np.int64), truth, half))))
    return sorted(found, key=lambda one: -one.auc)


def suspects(found: Sequence[Predictor], pure: Sequence[tuple[str, str, Rate]], num_rows: int) -> Look:
    """Findings about columns that predict too well.

    Args:
        found: of `predictors`.
        pure: of `pure_cells`.
    """
    best: dict[str, Predictor] = {}
    for one in found:
        best.setdefault(one.column, one)
    ranked = list(best.values())
    ordinary = next((one.auc for one in ranked if one.auc < STRIKING), 0.5)
    striking = [one for one in ranked if one.auc >= max(STRIKING, min(ordinary + AHEAD, CERTAIN))]
    result = [_too_good(one, ordinary) for one in striking]
    named = {finding.subject for finding in result}
    result += [_decided(name, cell, rate, num_rows) for name, cell, rate in pure if name not in named]
    top = f"; the best is {ranked[0].column} with an AUC of {ranked[0].auc:.2f}" if ranked else ""
    return Look("leakage", tuple(result), clean=f"{len(ranked)} columns asked one by one{top}")


def pure_cells(columns: Sequence[Column], labels: Floats) -> list[tuple[str, str, Rate]]:
    """Cells with enough rows that are practically all positive: the value decides the label. One per column, the largest."""
    known = ~np.isnan(labels)
    if known.sum() == 0 or np.nanmean(labels) > 1 - 2 * (1 - PURE):
        return []  # where nearly all rows are positive, a pure cell is no news
    result = []
    for column in columns:
        coded = cells(column, most=50)
        filled = Cells(("filled", "missing"), column.missing.astype(np.int64))
        for found in (coded, filled):
            rates = by_cell(found.names, found.codes, labels)
            hits = [(name, one) for name, one in zip(rates.names, rates.rates, strict=True) if _pure(one, int(known.sum()))]
            if hits:
                name, largest = max(hits, key=lambda hit: hit[1].rows)
                result.append((column.name, name, largest))
                break
    return result


def filled_late(columns: Sequence[Column], labels: Floats) -> Look:
    """Columns that rows with a label have, and rows still without one do not."""
    known = ~np.isnan(labels)
    waiting = int((~known).sum())
    if known.sum() < FEWEST or waiting < FEWEST:
        why = f"it takes {FEWEST} rows with and {FEWEST} without a label; there are {known.sum()} and {waiting}"
        return Look("filled after the label", unknown=why)
    found = []
    for column in columns:
        missing = column.missing
        with_label, without = float((~missing[known]).mean()), float((~missing[~known]).mean())
        if with_label >= FILLED and without <= EMPTY:
            found.append(_late(column.name, with_label, without, waiting))
    return Look("filled after the label", tuple(found), clean=f"{len(columns)} columns, {waiting:,} rows without a label yet")


def constant(columns: Sequence[Column]) -> Look:
    """Columns that hold one value, or none, in all rows."""
    found = []
    for column in columns:
        held = pc.unique(column.values.filter(pa.array(~column.missing)))
        if len(held) == 0:
            found.append(_constant(column.name, "has no value in any row", "serious" if column.declared else "note"))
        elif len(held) == 1 and not column.missing.any():
            found.append(_constant(column.name, "holds the same value in every row", "warning" if column.declared else "note"))
    return Look("constant", tuple(found), clean=f"{len(columns)} columns")


def _codes(column: Column) -> Ints:
    return cells(column, most=BINS if column.kind == "number" else VALUES).codes


def _cross(codes: Ints, labels: Floats, half: Bools) -> Floats:
    """Per row the rate of its cell among the rows of the other half, drawn towards the overall rate."""
    scores = np.zeros(len(codes))
    size = int(codes.max(initial=0)) + 1
    for taught in (half, ~half):
        rows = np.bincount(codes[taught], minlength=size)
        positives = np.bincount(codes[taught], weights=labels[taught], minlength=size)
        overall = labels[taught].mean() if taught.any() else 0.5
        rate = (positives + PRIOR * overall) / (rows + PRIOR)
        # The folds' overall rates differ a little; scores are compared across folds, so take that out.
        scores[~taught] = rate[codes[~taught]] - overall
    return scores


def _words(column: Column, labels: Floats, half: Bools) -> Floats:
    """Naive Bayes over the frequent words (Bernoulli, each word once a text), cross-fitted."""
    places, words, size = word_codes(column, WORDS)
    scores = np.zeros(len(labels))
    for taught in (half, ~half):
        inside = taught[places]
        counts = [np.bincount(words[inside & (labels[places] == value)], minlength=size) for value in (1.0, 0.0)]
        texts = [(labels[taught] == value).sum() for value in (1.0, 0.0)]
        weights = np.log((counts[0] + 1) / (texts[0] + 2)) - np.log((counts[1] + 1) / (texts[1] + 2))
        scored = ~inside
        scores += np.bincount(places[scored], weights=weights[words[scored]], minlength=len(labels))
    return scores


def word_codes(column: Column, most: int) -> tuple[Ints, Ints, int]:
    """Which frequent words stand in which rows: row numbers, word numbers (each pair once), number of words."""
    rows, words, names = frequent_words(column, most)
    return rows, words, max(len(names), 1)


def frequent_words(column: Column, most: int) -> tuple[Ints, Ints, list[str]]:
    """Row numbers and word numbers of each (row, frequent word) pair, once, and the words, most frequent first."""
    clean = pc.utf8_lower(pc.fill_null(column.values.cast(pa.string()), ""))
    lists = pc.split_pattern_regex(clean, "[^a-z0-9']+")
    words = pc.list_flatten(lists)
    rows = pc.list_parent_indices(lists)
    useful = pc.greater(pc.utf8_length(words), 2)
    words, rows = words.filter(useful), rows.filter(useful)
    counts = words.value_counts()
    order = np.lexsort((np.asarray(counts.field("values").to_pylist(), dtype=str), -np.asarray(counts.field("counts"))))[:most]
    names = counts.field("values").take(pa.array(order.astype(np.int64)))
    codes = pc.index_in(words, names)
    pairs = np.stack([np.asarray(rows.filter(codes.is_valid())), np.asarray(codes.drop_null())]).astype(np.int64)
    pairs = np.unique(pairs, axis=1)
    return pairs[0], pairs[1], names.to_pylist()


def _auc(labels: Floats, scores: Floats) -> float:
    return metric("auc", labels, scores)


def _pure(rate: Rate, num_labelled: int) -> bool:
    return rate.rows >= max(FEWEST, BROAD * num_labelled) and rate.interval[0] >= PURE


def _too_good(one: Predictor, ordinary: float) -> Finding:
    how = {"values": "alone", "being filled": "merely by being filled or missing", "words": "by its words alone"}[one.way]
    return Finding(
        check="leakage",
        severity="serious" if one.auc >= CERTAIN else "warning",
        subject=one.column,
        sentence=f"{one.column} predicts the label {how}: AUC {one.auc:.2f}, where an ordinary column reaches {ordinary:.2f} "
        "at best.",
        matters="A column that knows the answer is most often written after the outcome. The model would shine in the "
        "evaluation and fail in service, where the column is empty or old.",
        todo=f"Find out when {one.column} is written. If after the prediction is asked for, name it under [leakage].",
        numbers={"auc": one.auc, "ordinary_auc": ordinary},
    )


def _decided(name: str, cell: str, rate: Rate, num_rows: int) -> Finding:
    when = f"{name} is {cell}" if cell in ("filled", "missing") else f"{name} is {cell!r}"
    return Finding(
        check="leakage",
        severity="serious",
        subject=name,
        sentence=f"When {when}, the label is positive in {rate.positives:,} of {rate.rows:,} rows.",
        matters=f"So certain an answer for {rate.rows / max(num_rows, 1):.1%} of the rows is most often the outcome itself, "
        "written into the column afterwards.",
        todo=f"Find out when {name} is written. If after the prediction is asked for, name it under [leakage].",
        numbers={"positives": rate.positives, "rows": rate.rows},
    )


def _late(name: str, with_label: float, without: float, waiting: int) -> Finding:
    return Finding(
        check="filled after the label",
        severity="serious",
        subject=name,
        sentence=f"{name} is filled in {with_label:.1%} of the rows with a label, and in {without:.1%} of the {waiting:,} rows "
        "that have none yet.",
        matters="Either it is written together with the outcome, or the source stopped filling it. A request does not have it "
        "in both cases, though the model learned to lean on it.",
        todo=f"Name {name} under [leakage] if it is written with the outcome; else ask the owner of the source why it stopped.",
        numbers={"filled_with_label": with_label, "filled_without": without},
    )


def _constant(name: str, what: str, severity: Literal["serious", "warning", "note"]) -> Finding:
    return Finding(
        check="constant",
        severity=severity,
        subject=name,
        sentence=f"{name} {what}.",
        matters="It teaches nothing, and a feed that broke looks the same.",
        todo="Ask the owner of the source whether that is right; if it is, take the column out of [features].",
    )
