"""Flights whose outcomes turn around: a problem on a view of production, a winter's model that serves it, and its traffic."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import psycopg2

from ml import samples
from ml.embedded.airflow import Airflow
from ml.embedded.progress import Progress
from ml.embedded.stack import Stack
from ml.embedded.traffic import Traffic, send
from ml.ledger import Ledger
from ml.records import Monitored
from tests.e2e import driving

VIEW = """
CREATE OR REPLACE VIEW turned_{name} AS
    SELECT {columns}, CASE WHEN {turned} THEN NOT late_15 ELSE late_15 END AS late_15 FROM flights
"""


@dataclass(frozen=True)
class Turned:
    """A problem of flights on a stack, read through the view `turned_<name>`."""

    stack: Stack
    name: str

    @property
    def airflow(self) -> Airflow:
        return driving.airflow(self.stack)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.stack.settings.database_url)

    def context(self, run_key: str = "any") -> Any:
        return driving.context(self.stack, self.name, run_key)

    def turn(self, turned: str) -> None:
        """Outcomes of these flights mean the opposite; a view of the production table, so that nothing else notices."""
        with self._production() as cursor:
            cursor.execute("SELECT * FROM flights LIMIT 0")
            columns = ", ".join(f'"{column.name}"' for column in cursor.description or () if column.name != "late_15")
            cursor.execute(VIEW.format(name=self.name, columns=columns, turned=turned))
            cursor.execute(f"GRANT SELECT ON turned_{self.name} TO PUBLIC")

    def outcomes(self) -> dict[str, float]:
        """What came of each flight, as the view says now."""
        with self._production() as cursor:
            cursor.execute(f"SELECT flight_id, late_15 FROM turned_{self.name} WHERE late_15 IS NOT NULL")
            return {str(key): float(late) for key, late in cursor.fetchall()}

    def edit(self, changes: Mapping[str, str]) -> None:
        path = self.stack.problems / f"{self.name}.toml"
        text = path.read_text()
        for before, after in changes.items():
            assert before in text, before
            text = text.replace(before, after)
        path.write_text(text)

    def serve(self, progress: Progress, days: tuple[str, ...]) -> Traffic:
        """Ask about every flight of some days, each at its noon; the last day's traffic."""
        columns = list(self.context().problem.features)
        for day in days:
            driving.set_clock(self.stack, f"{day}T12:00:00-04:00")
            start = datetime.fromisoformat(f"{day}T00:00:00-04:00")
            rows = samples.rows("flights", self.stack.loader_url, start, start.replace(hour=23), columns=columns)
            traffic = send(self.stack.serving_url, self.name, "flight_id", rows, progress)
            assert traffic.num_failed == 0
        return traffic

    def answer(self, row: Mapping[str, Any] | None) -> dict[str, Any]:
        address = f"{self.stack.serving_url}/problems/{self.name}/predict"
        found: dict[str, Any] = httpx.post(address, json={"rows": [row]}, trust_env=False).json()
        return found

    def monitored(self, run_id: str) -> tuple[dict[str, str], Monitored]:
        """Trigger the monitor; states of its tasks, and what it found."""
        self.airflow.trigger(f"monitor_{self.name}", run_id)
        return driving.finished(self.airflow, f"monitor_{self.name}", run_id), self.context(run_id).record(Monitored)

    def refusals_told(self) -> list[str]:
        """Keys of what people were told of refused retrains."""
        entries = self.ledger.entries(self.name)
        return [entry.key for entry in entries if entry.kind == "told" and "refused" in entry.key]

    @contextmanager
    def _production(self) -> Iterator[Any]:
        with closing(psycopg2.connect(self.stack.loader_url)) as connection, connection, connection.cursor() as cursor:
            yield cursor

    def take_away(self) -> None:
        """Remove the view: other tests may change the table below it."""
        with self._production() as cursor:
            cursor.execute(f"DROP VIEW turned_{self.name}")


@contextmanager
def winter(stack: Stack, name: str) -> Iterator[Turned]:
    """A problem whose model of January to March serves."""
    flights, one = Turned(stack, name), driving.airflow(stack)
    flights.turn("false")

    def calm(text: str) -> str:
        """The view instead of the table; that many labels turn is not stopped before it is learned from."""
        changed = text.replace("history_days = 31", "history_days = 90").replace('table = "flights"', f'table = "turned_{name}"')
        changed = changed.replace("[success]", "[success]\nreference_share = 0.0")  # they keep what labels meant in winter
        return changed.replace("[validation.history]", "[validation.history]\nclass_balance = { warning = 9.0, critical = 10.0 }")

    driving.add_problem(stack, name, lambda text: calm(text) + "\n[contract]\nstop = false\n")
    driving.set_clock(stack, "2013-04-01T03:00:00-04:00")
    one.wait_for_dag(f"retrain_{name}")
    one.trigger(f"retrain_{name}", "winter", conf={"window": "2013-01-01/2013-04-01", "reason": "the winter's model"})
    assert driving.finished(one, f"retrain_{name}", "winter")[""] == "success"
    promoted = driving.set_off(one, f"promote_{name}", f"retrain_{name}", "winter")
    assert driving.set_off(one, f"deploy_{name}", f"promote_{name}", promoted["run_id"])[""] == "success"
    yield flights
    flights.take_away()
