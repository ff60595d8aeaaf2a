"""What the newest sweep of the alerts said, as Prometheus reads it from the service."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ml.records import Swept
from ml.serving import metrics
from ml.store import store_of


def figures(stores: Any, *problems: str) -> dict[tuple[str, str], float]:
    live: Any = {name: SimpleNamespace(state=SimpleNamespace(current=None)) for name in problems}
    held = metrics.Held(live, lambda: {"written": 0, "dropped": 0, "waiting": 0, "error": ""}, stores)
    families = text_string_to_metric_families(metrics.exposition(held).decode())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, sample.labels["problem"]): sample.value for sample in samples if "problem" in sample.labels}


@pytest.mark.parametrize("ended", [datetime(2013, 2, 1, 8, tzinfo=UTC), None])
def test_each_problem_tells_its_last_sweep_and_its_last_night(care, ended):
    at = datetime(2013, 2, 1, 17, tzinfo=UTC)
    record = Swept(at=at, night_ended=ended, night_late=True, num_waiting=3)
    care.context.store.write_json(Swept.latest, record.model_dump(mode="json"))
    told = figures(lambda name: store_of(name, care.context.settings), "flights", "complaints")
    assert told["evergreen_swept_seconds", "flights"] == at.timestamp()
    assert told["evergreen_night_late", "flights"] == 1
    assert told["evergreen_alerts_waiting", "flights"] == 3
    assert told.get(("evergreen_night_ended_seconds", "flights")) == (ended.timestamp() if ended else None)
    assert ("evergreen_swept_seconds", "complaints") not in told, "nobody looked yet, which is not the year 1970"


def test_a_store_that_is_away_or_holds_nonsense_hides_no_other_figure(care):
    def away(name: str) -> Any:
        raise OSError("away")

    assert ("evergreen_live_version", "flights") in figures(away, "flights")
    care.context.store.write_json(Swept.latest, {"at": "never"})
    assert ("evergreen_swept_seconds", "flights") not in figures(lambda name: store_of(name, care.context.settings), "flights")
