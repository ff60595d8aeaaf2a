"""Columns that say where: US states as tiles of a map, coordinates as points of one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ml.understand.columns import MISSING, Column, Floats, cells, numbers
from ml.understand.rates import Rate, by_cell

LAYOUT = """\
AK .  .  .  .  .  .  .  .  .  .  ME
.  .  .  .  .  .  WI .  .  .  VT NH
.  WA ID MT ND MN IL MI .  NY MA .
.  OR NV WY SD IA IN OH PA NJ CT RI
.  CA UT CO NE MO KY WV VA MD DE .
.  .  AZ NM KS AR TN NC SC DC .  .
.  .  .  .  OK LA MS AL GA .  .  .
HI .  .  .  TX .  .  .  .  FL .  PR"""
TILES = {
    code: (row, column) for row, line in enumerate(LAYOUT.splitlines()) for column, code in enumerate(line.split()) if code != "."
}
ELSEWHERE = {"AS", "GU", "MP", "VI", "AA", "AE", "AP", "FM", "MH", "PW"}  # islands and the forces' post: codes without a tile
FEWEST_STATES, STATES_SHARE = 8, 0.9
COORDINATES = re.compile(r"^(?P<of>.*?)_?(?P<axis>lat|latitude|lon|lng|long|longitude)$", re.IGNORECASE)


@dataclass(frozen=True)
class States:
    """Rates per state of one column; `others` are rows that no tile stands for."""

    column: str
    rates: dict[str, Rate]
    rows: dict[str, int]
    others: int


@dataclass(frozen=True)
class Points:
    """Coordinates in degrees with labels, shape (n,)."""

    columns: tuple[str, str]
    latitude: Floats
    longitude: Floats
    labels: Floats


def states(column: Column, labels: Floats) -> States | None:
    """A category whose values are US states, None for any other."""
    if column.kind != "category":
        return None
    found = cells(column, most=500)
    counts = np.bincount(found.codes, minlength=len(found.names))
    held = {name: int(count) for name, count in zip(found.names, counts, strict=True) if name != MISSING and count}
    inside = sum(count for name, count in held.items() if name in TILES or name in ELSEWHERE)
    if sum(name in TILES for name in held) < FEWEST_STATES or inside < STATES_SHARE * sum(held.values()):
        return None
    rates = by_cell(found.names, found.codes, labels)
    named = dict(zip(rates.names, rates.rates, strict=True))
    on_map = {code: count for code, count in held.items() if code in TILES}
    return States(column.name, {code: named[code] for code in on_map}, on_map, sum(held.values()) - sum(on_map.values()))


def points(columns: Mapping[str, Column], labels: Floats) -> Points | None:
    """The first pair of number columns called latitude and longitude that hold degrees."""
    pairs: dict[str, dict[str, Column]] = {}
    for name, column in columns.items():
        match = COORDINATES.match(name)
        if match and column.kind == "number":
            axis = "latitude" if match["axis"].lower().startswith("lat") else "longitude"
            pairs.setdefault(match["of"].lower(), {})[axis] = column
    for pair in pairs.values():
        if len(pair) == 2:
            latitude, longitude = numbers(pair["latitude"]), numbers(pair["longitude"])
            inside = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180) & ~((latitude == 0) & (longitude == 0))
            if inside.sum() >= FEWEST_STATES and inside.sum() >= STATES_SHARE * (~np.isnan(latitude)).sum():
                names = pair["latitude"].name, pair["longitude"].name
                return Points(names, latitude[inside], longitude[inside], labels[inside])
    return None
