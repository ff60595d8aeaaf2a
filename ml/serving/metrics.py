"""Figures of the service for Prometheus; several worker processes add to the same ones.

`PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported (`share` does it): the workers then count in files of
that folder, and whoever is asked adds them up.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ml.errors import EvergreenError
from ml.records import Fed, Monitored, Swept
from ml.requests import Request
from ml.requests.feedback import Said
from ml.store import Store

if TYPE_CHECKING:
    from ml.serving.live import LiveModel
    from ml.serving.log import Counts

L = TypeVar("L", Monitored, Swept, Fed)  # what has a newest word in the store
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ARM = ("problem", "version", "arm")

_own = CollectorRegistry()
_answers = Histogram(
    "evergreen_answer_seconds", "time to answer a request, scoring included", ARM, buckets=SECONDS, registry=_own
)
_rows = Counter("evergreen_answered_rows", "rows that were answered", ARM, registry=_own)
_responses = Counter("evergreen_http_responses", "responses by protocol and status", ("protocol", "status"), registry=_own)
_told = Counter("evergreen_feedback", "feedback that was taken", ("problem", "kind"), registry=_own)
_known: dict[tuple[str, int, str], tuple[Histogram, Counter]] = {}
_counted: dict[tuple[str, int], Counter] = {}


def answered(request: Request, seconds: float) -> None:
    """Count an answered request."""
    name = (request.problem, request.version, request.arm)
    if (found := _known.get(name)) is None:
        labels = (request.problem, str(request.version), request.arm)
        found = _known[name] = _answers.labels(*labels), _rows.labels(*labels)
    found[0].observe(seconds)
    found[1].inc(len(request.rows))


def told(said: Sequence[Said]) -> None:
    """Count feedback."""
    for one in said:
        _told.labels(one.problem, one.source).inc()


def responded(protocol: str, status: int) -> None:
    """Count a response of any kind."""
    if (found := _counted.get((protocol, status))) is None:
        found = _counted[protocol, status] = _responses.labels(protocol, str(status))
    found.inc()


class Held(Collector):
    """What is looked up when somebody asks: live versions, rows of the request log, last words of monitor, alerts and feedback.

    Args:
        store: where monitor, alerts and feedback write, by problem.
    """

    def __init__(self, live: Mapping[str, "LiveModel"], counts: Callable[[], "Counts"], store: Callable[[str], Store]) -> None:
        self._live, self._counts, self._store = live, counts, store

    def collect(self) -> Iterator[Metric]:
        """The figures of now."""
        yield from self._service()
        yield from self._drift()
        yield from self._nights()
        yield from self._feedback()

    def _service(self) -> Iterator[Metric]:
        versions = GaugeMetricFamily("evergreen_live_version", "version that answers, 0 for none", labels=["problem"])
        for name, live in self._live.items():
            current = live.state.current
            versions.add_metric([name], current.id.version if current else 0)
        yield versions
        counts = self._counts()
        rows = CounterMetricFamily("evergreen_log_rows", "rows of the request log", labels=["state"])
        rows.add_metric(["written"], counts["written"])
        rows.add_metric(["dropped"], counts["dropped"])
        yield rows
        yield GaugeMetricFamily("evergreen_log_rows_waiting", "rows in the spool", value=counts["waiting"])
        yield GaugeMetricFamily("evergreen_log_stuck", "1 while the request log cannot be written", value=bool(counts["error"]))

    def _drift(self) -> Iterator[Metric]:
        drifts = GaugeMetricFamily("evergreen_drift", "1 for drift, 0 for none, as last monitored", labels=["problem", "kind"])
        names = ["problem", "kind", "subject"]
        values = GaugeMetricFamily("evergreen_drift_value", "what monitoring measured", labels=names)
        limits = GaugeMetricFamily("evergreen_drift_limit", "from which on it counts", labels=names)
        times = GaugeMetricFamily("evergreen_drift_judged_seconds", "end of the window, seconds since 1970", labels=["problem"])
        for problem in self._live:
            if (said := self._said(problem, Monitored)) is None:
                continue
            for kind, verdict in said.verdicts.items():
                if verdict != "not assessable":
                    drifts.add_metric([problem, kind], verdict == "drift")
            for one in said.findings:
                for family, number in ((values, one.value), (limits, one.limit)):
                    if number is not None:
                        family.add_metric([problem, one.kind, one.subject], number)
            if said.end:
                times.add_metric([problem], said.end.timestamp())
        yield from (drifts, values, limits, times)

    def _feedback(self) -> Iterator[Metric]:
        shares = GaugeMetricFamily("evergreen_feedback_unmatched_share", "feedback that belongs to nothing", labels=["problem"])
        limits = GaugeMetricFamily("evergreen_feedback_unmatched_limit", "above which it is too much", labels=["problem"])
        waiting = GaugeMetricFamily("evergreen_feedback_unjoined", "feedback that waits for its row", labels=["problem"])
        for problem in self._live:
            if (fed := self._said(problem, Fed)) is not None:
                limits.add_metric([problem], fed.limit)
                waiting.add_metric([problem], fed.num_waiting)
                if fed.unmatched_share is not None:
                    shares.add_metric([problem], fed.unmatched_share)
        yield from (shares, limits, waiting)

    def _nights(self) -> Iterator[Metric]:
        names = {
            "evergreen_swept_seconds": "when alerts were looked at last, seconds since 1970",
            "evergreen_night_ended_seconds": "when a night came to an end last, seconds since 1970",
            "evergreen_night_late": "1 while a night should be over and is not",
            "evergreen_alerts_waiting": "alerts that should be sent and could not be",
        }
        families = {name: GaugeMetricFamily(name, about, labels=["problem"]) for name, about in names.items()}
        for problem in self._live:
            if (said := self._said(problem, Swept)) is None:
                continue
            ended = said.night_ended.timestamp() if said.night_ended else None
            values = (said.at.timestamp(), ended, said.night_late, said.num_waiting)
            for family, value in zip(families.values(), values, strict=True):
                if value is not None:
                    family.add_metric([problem], value)
        yield from families.values()

    def _said(self, problem: str, kind: type[L]) -> L | None:
        """The newest word; None when there is none, or the store is away: other figures are told all the same."""
        try:
            store = self._store(problem)
            return kind.model_validate(store.read_json(kind.latest)) if store.exists(kind.latest) else None
        except (EvergreenError, OSError, ValueError):
            return None


def exposition(held: Held) -> bytes:
    """All figures of all workers, in Prometheus' text format."""
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(held)
    shared = generate_latest(registry)
    return shared if "PROMETHEUS_MULTIPROC_DIR" in os.environ else shared + generate_latest(_own)
