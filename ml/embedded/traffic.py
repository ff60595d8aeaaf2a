"""A day's events sent to the prediction service, as its clients would."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import httpx

from ml.embedded.progress import Progress

BATCH_ROWS = 100


@dataclass(frozen=True)
class Traffic:
    """What was sent and what went wrong, in rows."""

    num_sent: int
    num_failed: int
    complaint: str
    example: dict[str, Any] | None


def send(
    url: str, problem: str, key: str, rows: list[dict[str, Any]], progress: Progress, logged: Collection[str] = ()
) -> Traffic:
    """Send rows in requests of 100; a refused request is counted, not fatal.

    Args:
        key: the column whose value names a row.
        logged: keys that were answered before, when a day that was cut short goes on.
    """
    asked = [{"key": str(row[key])} | {name: value for name, value in row.items() if name != key} for row in rows]
    example = asked[0] if asked else None
    requests = [request for request in asked if request["key"] not in logged]
    began, num_failed, complaint = time.monotonic(), 0, ""
    with httpx.Client(timeout=60, trust_env=False) as client:
        if client.get(f"{url}/problems/{problem}").json().get("version") is None:
            progress.show("traffic", "skipped", None, "no model serves yet")
            return Traffic(0, 0, "", example)
        for start in range(0, len(requests), BATCH_ROWS):
            batch = requests[start : start + BATCH_ROWS]
            refused = _refused(client, f"{url}/problems/{problem}/predict", batch)
            num_failed += len(batch) if refused else 0
            complaint = complaint or refused
            progress.show("traffic", "running", time.monotonic() - began, f"{start + len(batch):,} of {len(requests):,} rows")
    note = f"{len(requests):,} rows asked" + (f", {num_failed:,} refused ({complaint})" if num_failed else "")
    progress.show("traffic", "failed" if num_failed else "done", time.monotonic() - began, note)
    return Traffic(len(requests), num_failed, complaint, example)


def _refused(client: httpx.Client, url: str, batch: list[dict[str, Any]]) -> str:
    """Ask about some rows; why they were not answered, empty when they were."""
    try:
        response = client.post(url, json={"rows": batch})
    except httpx.TransportError as error:
        return f"{type(error).__name__}: {error}"
    return "" if response.is_success else f"{response.status_code}: {response.text[:300]}"
