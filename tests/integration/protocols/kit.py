"""What tests of the protocols ask, and what the answers must be."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ml import requests
from tests.integration.serving_kit import ROWS, Service, score_of

EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
OLD, NEW = 1, 200  # versions whose answers are far apart
TENSORS: dict[str, list[Any]] = {"carrier": ["UA", "ZZ", ""], "distance": [1400.0, float("nan"), 200.0]}  # ROWS as tensors


def wanted(version: int, rows: list[dict[str, Any]] = ROWS) -> Any:
    return pytest.approx([score_of(version, row) for row in rows], abs=1e-6)


def logged(service: Service, request_id: str) -> list[dict[str, Any]]:
    service.wait_logged()
    rows = requests.read(service.database_url, "asked", *EVER).to_pylist()
    return [row for row in rows if row["request_id"] == request_id]
