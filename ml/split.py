"""Which labelled rows teach, stop the training and judge: parts in time order, no row, key or group in two of them."""

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml import folds
from ml.errors import DataError
from ml.problem import Split
from ml.tables import DAY

PARTS = ("train", "validation", "test")
Bounds = Mapping[str, tuple[date, date]]


def parts_by_day(days: list[date], split: Split) -> dict[str, tuple[date, date]]:
    """First and last day of each part: the newest days judge, those before stop the training, the rest teaches.

    Between two parts lie `gap_days` that belong to none.

    Args:
        days: days that have labels, sorted.
    Raises: DataError: not one day is left to learn from.
    """
    needed = split.test_days + split.validation_days + 2 * split.gap_days + 1
    if not days or (days[-1] - days[0]).days + 1 < needed:
        raise DataError(
            f"Labels are known for {len(days)} days ({days[0] if days else '-'} to {days[-1] if days else '-'}), but the split "
            f"needs {needed}: [split] test_days + validation_days + 1, and gap_days twice. Wait, widen [source] history_days, "
            "or shorten the parts."
        )
    test = days[-1] - timedelta(days=split.test_days - 1)
    validation_end = test - timedelta(days=split.gap_days + 1)
    validation = validation_end - timedelta(days=split.validation_days - 1)
    return {
        "train": (days[0], validation - timedelta(days=split.gap_days + 1)),
        "validation": (validation, validation_end),
        "test": (test, days[-1]),
    }


def split_rows(rows: pa.Table, split: Split) -> tuple[pa.Table, dict[str, int]]:
    """Give every labelled row its part and its folds.

    Args:
        rows: labelled rows with `_key`, `_day`, `_label`, and `_group` where the split names one.
    Returns: the rows with `_part` and `_fold` (see `folds`), sorted by day and key; and how many were set aside because they
        lie in a gap or because their group stands in a newer part too.
    Raises: DataError: a part is too small, a key stands in two parts, or the folds leave too little.
    """
    ordered = rows.sort_by([(DAY, "ascending"), ("_key", "ascending")])
    day = np.asarray(ordered[DAY].to_pylist(), dtype=str)
    parts = _parts(day, parts_by_day(sorted(map(date.fromisoformat, np.unique(day))), split))
    in_gap = parts == ""
    divided = _divided(ordered["_group"].to_numpy(), parts) if split.group else np.zeros(len(day), dtype=bool)
    aside = {"gap": int(in_gap.sum()), "group": int((divided & ~in_gap).sum())}
    kept = ~(in_gap | divided)
    parted = ordered.append_column("_part", pa.array(parts.astype(object), pa.string())).filter(pa.array(kept))
    _refuse_shared_keys(parted)
    for name in PARTS:
        _refuse_thin(parted.filter(pc.equal(parted["_part"], name)).num_rows, name, split)
    folded = parted.append_column("_fold", folds.column(parted, split))
    folds.refuse_thin(folded, split)
    return folded, {why: count for why, count in aside.items() if count}


def _parts(day: npt.NDArray[np.str_], bounds: Bounds) -> npt.NDArray[np.str_]:
    """The part of every row, empty in a gap."""
    parts = np.full(len(day), "", dtype="U10")
    for name, (first, last) in bounds.items():
        parts[(day >= str(first)) & (day <= str(last))] = name
    return parts


def _divided(group: npt.NDArray[np.int32], parts: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Rows whose group stands in a newer part too: they would tell about it."""
    divided = np.zeros(len(parts), dtype=bool)
    for place, name in enumerate(PARTS[:-1]):
        newer = np.unique(group[np.isin(parts, PARTS[place + 1 :])])
        divided |= (parts == name) & np.isin(group, newer)
    return divided


def _refuse_shared_keys(rows: pa.Table) -> None:
    seen = rows.group_by("_key").aggregate([("_part", "count_distinct")])
    shared = seen.filter(pc.greater(seen["_part_count_distinct"], 1))["_key"].to_pylist()
    if shared:
        raise DataError(
            f"{len(shared)} keys stand in more than one part of the split, such as {shared[:3]}: the test would know what "
            "training saw. A key must name one row; mend [source] key, or the source where it repeats."
        )


def _refuse_thin(num_rows: int, name: str, split: Split) -> None:
    if num_rows < split.minimum_rows:
        group = f" Rows of a {split.group!r} that stands in a newer part too are set aside." if split.group else ""
        raise DataError(
            f"The {name} part has {num_rows} labelled rows, fewer than [split] minimum_rows = {split.minimum_rows}.{group} "
            "Wait for more labels, lengthen that part, or lower the limit."
        )
