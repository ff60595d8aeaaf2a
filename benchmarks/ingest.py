"""What ingest costs: a table of 13 mixed columns from PostgreSQL into Delta, beside what the server alone can do, and pandas.

The server's limit is COPY of the same columns as CSV to /dev/null, which nobody sends anywhere. Evergreen is the stage as the
night runs it: contract, profile, fingerprints and the commit included. Each case runs in a process of its own, libraries are
imported before the clock starts, and of several runs the quickest counts. Rows lie in the table as they came, by time.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import psycopg2

from benchmarks.memory import peak_mb
from ml.embedded.postgres import OWNER, READER, Postgres
from ml.embedded.processes import free_port

MILLION = 1_000_000
REPEATS = 5
ZONE, NIGHT = "America/New_York", "2013-02-05T08:00:00+00:00"
FEATURES = (
    {f"c{number}": "category" for number in range(1, 9)} | {f"n{number}": "number" for number in range(1, 5)} | {"t1": "text"}
)
TABLE = """
    CREATE TABLE bench AS SELECT 'k' || i AS id, at AS happened, random() < 0.2 AS label, at + interval '2 days' AS label_time,
        at - interval '2 hours' AS known,
        'airline ' || (random() * 15)::int AS c1, 'airport-' || (random() * 300)::int AS c2, chr(65 + (random() * 25)::int) AS c3,
        CASE WHEN random() < 0.9 THEN 'state ' || (random() * 50)::int END AS c4, 'some product ' || (random() * 20)::int AS c5,
        (random() * 9)::int::text AS c6, 'x' || (random() * 1000)::int AS c7, 'tier-' || (random() * 3)::int AS c8,
        random() * 1000 AS n1, round((random() * 500)::numeric, 2)::float8 AS n2, (random() * 100000)::int AS n3,
        CASE WHEN random() < 0.95 THEN random() END AS n4,
        substr('the quick brown fox jumps over the lazy dog and runs from every evergreen tree', (random() * 40)::int,
               20 + (random() * 20)::int) AS t1
    FROM generate_series(0, {rows} - 1) i,
        LATERAL (SELECT timestamptz '2013-01-01 05:00+00' + i * interval '31 days' / {rows} AS at) moments
"""
SELECT = "SELECT id, happened, label, label_time, known, c1, c2, c3, c4, c5, c6, c7, c8, n1, n2, n3, n4, t1 FROM bench"
LIMIT = f"COPY ({SELECT}) TO '/dev/null' WITH (FORMAT csv)"


def main() -> None:
    """Run the cases, print the table, and as the last line everything as JSON."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--case", choices=list(CASES), help="run one case in this process and print it as JSON")
    given.add_argument("--url", help="database of the case")
    given.add_argument("--server", type=int, help="process of the database server, to read its CPU time")
    asked = given.parse_args()
    if asked.case:
        print(json.dumps(CASES[asked.case](asked.url, asked.server)))
        return
    with tempfile.TemporaryDirectory(prefix="evergreen-bench-") as home:
        server = Postgres(Path(home), free_port(0), dict.fromkeys(("postgres", OWNER, READER), "bench"))
        server.start()
        try:
            rows = [row for size in (MILLION, 5 * MILLION) for row in _of_size(server, size)]
        finally:
            server.stop()
    for row in rows:
        _show(row)
    print(json.dumps({"bench": "ingest", "machine": _machine(), "goals": _goals(rows), "rows": rows}))


def _of_size(server: Postgres, size: int) -> Iterator[dict[str, Any]]:
    """Every case on a table of that size; pandas only on the small one, whose memory it already fills."""
    server.create_database(f"bench_{size}")
    url = server.url(f"bench_{size}", user="postgres")
    _execute(url, TABLE.format(rows=size), "VACUUM ANALYZE bench", "CHECKPOINT")
    for case in ("limit", "evergreen", *(["pandas"] if size == MILLION else [])):
        runs = [_apart(case, url, server) for _ in range(REPEATS if case != "pandas" else 1)]
        best = min(runs, key=lambda run: float(run["seconds"]))
        peak = max(run["peak_mb"] for run in runs)
        yield {"case": case, "rows": size} | best | {"rows_per_s": round(size / best["seconds"]), "peak_mb": peak}


def _apart(case: str, url: str, server: Postgres) -> dict[str, Any]:
    """One case in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--case", case, "--url", url, "--server", str(server.program.pid)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_case = {(row["case"], row["rows"]): row for row in rows}
    small, large = by_case["evergreen", MILLION], by_case["evergreen", 5 * MILLION]
    pandas = small["rows_per_s"] / by_case["pandas", MILLION]["rows_per_s"]
    shares = {size: by_case["evergreen", size]["rows_per_s"] / by_case["limit", size]["rows_per_s"] for _, size in by_case}
    growth, peak = large["peak_mb"] / small["peak_mb"], max(small["peak_mb"], large["peak_mb"])
    return [
        *(_at_least(f"rows/s, {size:,} rows, of the server's limit", share, 0.5) for size, share in sorted(shares.items())),
        _at_least("rows/s of those of pandas.read_sql to Parquet", pandas, 5.0),
        _at_most("peak memory of 5 M rows over that of 1 M", growth, "times", 1.2),
        _at_most("peak memory", peak, "MB", 400.0),
    ]


def _at_least(name: str, value: float, goal: float) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": "times", "goal": goal, "holds": value >= goal}


def _at_most(name: str, value: float, unit: str, goal: float) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "holds": value <= goal}


def _show(row: dict[str, Any]) -> None:
    told = f"{row['case']:<10} {row['rows']:>9,} rows {row['seconds']:7.2f} s {row['rows_per_s']:>9,} rows/s"
    print(f"{told} {row['client_cpu_s']:6.2f} CPU-s here {row['server_cpu_s']:6.2f} there {row['peak_mb']:6.0f} MB")
    if row.get("parts"):
        print("           " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in row["parts"].items()) + " CPU-s")


def _machine() -> dict[str, Any]:
    memory = psutil.virtual_memory().total / 2**30
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _execute(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def _measured(server: int, found: dict[str, Any]) -> Iterator[None]:
    """Wall clock, CPU of this process and of the server, and the peak of this process."""
    postmaster, begun, cpu = psutil.Process(server), time.perf_counter(), time.process_time()
    there = sum(postmaster.cpu_times()[2:4])
    yield
    found |= {"seconds": round(time.perf_counter() - begun, 3), "client_cpu_s": round(time.process_time() - cpu, 2)}
    time.sleep(0.3)  # until the server has buried its processes, which is when it counts their time
    found["server_cpu_s"] = round(sum(postmaster.cpu_times()[2:4]) - there, 2)
    found["peak_mb"] = round(peak_mb())


def _limit(url: str, server: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with _measured(server, found):
        _execute(url, LIMIT)
    return found


def _pandas(url: str, server: int) -> dict[str, Any]:
    import pandas as pd
    import pyarrow.parquet  # noqa: F401
    import sqlalchemy as sa

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home, _measured(server, found):
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
        pd.read_sql(SELECT, engine).to_parquet(f"{home}/bench.parquet")
        engine.dispose()
    return found


def _evergreen(url: str, server: int) -> dict[str, Any]:
    import adbc_driver_postgresql.dbapi  # noqa: F401
    import deltalake  # noqa: F401
    import pandas  # noqa: F401  # pyarrow does, at its first array
    import polars  # noqa: F401

    from ml import database, ingest
    from ml.context import Context
    from ml.problem import Problem
    from ml.settings import read

    database.migrate(url)
    found: dict[str, Any] = {}
    source = {"table": "bench", "key": "id", "event_time": "happened", "label": "label", "label_time": "label_time"}
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "clock").write_text(NIGHT)
        places = {"STORE": f"{home}/store", "SOURCE_URL": url, "DATABASE_URL": url, "CLOCK_FILE": f"{home}/clock"}
        problem = Problem.model_validate(
            {
                "problem": {"name": "bench", "title": "bench", "task": "binary", "owner": "bench"},
                "source": {**source, "available_at": "known", "timezone": ZONE},
                "features": {name: {"type": kind} for name, kind in FEATURES.items()},
            }
        )
        settings = read({f"EVERGREEN_{name}": value for name, value in places.items()})
        context = Context(problem, settings, "bench", window="2013-01-01/2013-02-01")
        parts = _watched()
        with _measured(server, found):
            record = ingest.run(context)
    assert record.num_rows % MILLION == 0 < record.num_rows  # none is missing
    assert "tensorflow" not in sys.modules
    rest = found["client_cpu_s"] - sum(parts.values())
    return found | {"parts": {name: round(seconds, 2) for name, seconds in parts.items()} | {"receive and rest": round(rest, 2)}}


def _watched() -> dict[str, float]:
    """CPU seconds of the parts of the stage, filled while it runs."""
    from ml.contract import BatchProfiler
    from ml.source.pieces import Pieces
    from ml.tables import digest, staged

    parts: dict[str, float] = defaultdict(float)
    _watch(Pieces, "piece", "days", parts)
    _watch(BatchProfiler, "add", "profile", parts)
    _watch(digest, "row_hashes", "fingerprint", parts)
    _watch(staged._Writer, "_write_out", "write", parts)
    return parts


def _watch(owner: Any, name: str, part: str, parts: dict[str, float]) -> None:
    """Count the CPU time that a function takes on its thread."""
    inner: Callable[..., Any] = getattr(owner, name)
    counting = threading.Lock()

    def timed(*args: Any, **kwargs: Any) -> Any:
        begun = time.thread_time()
        try:
            return inner(*args, **kwargs)
        finally:
            with counting:
                parts[part] += time.thread_time() - begun

    setattr(owner, name, timed)


CASES: dict[str, Callable[[str, int], dict[str, Any]]] = {"limit": _limit, "evergreen": _evergreen, "pandas": _pandas}

if __name__ == "__main__":
    main()
