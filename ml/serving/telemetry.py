"""What the service tells of itself while it runs: log lines, traces, and where workers share their figures."""

import json
import logging
import logging.config
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

Lines = Literal["text", "json", "requests"]
TRACED = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")  # a tab is harmless
Span = Callable[[str, Mapping[str, str]], AbstractContextManager[Any]]


class OneLine(logging.Formatter):
    """Text lines in which nothing that a caller or a row says can begin a line of its own, or steer a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The message in one line; a traceback follows in lines of its own."""
        return CONTROL.sub(lambda found: repr(found[0])[1:-1], super().formatMessage(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message, and what was given as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        told |= getattr(record, "fields", {})
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def log_lines(lines: Lines) -> None:
    """Send the logs of this process to standard error, as plain text or as JSON."""
    formatter = {"()": OneLine, "fmt": "%(levelname)s: %(message)s"} if lines == "text" else {"()": JsonLines}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": formatter},
            "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "lines", "stream": sys.stderr}},
            "root": {"handlers": ["out"], "level": "WARNING"},
            "loggers": {"uvicorn": {"level": "INFO"}, "ml": {"level": "INFO"}},
        }
    )


def share_figures(folder: Path) -> None:
    """Let processes started from here count together; call it before anything imports prometheus_client."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def tracing() -> Span | None:
    """How to begin a span around a request, by its name and headers; None unless OpenTelemetry's own variables ask for traces."""
    if not any(os.environ.get(name) for name in TRACED):
        return None
    from opentelemetry import propagate, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "evergreen-serving")})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("ml.serving")

    def span(name: str, headers: Mapping[str, str]) -> AbstractContextManager[Any]:
        return tracer.start_as_current_span(name, propagate.extract(headers), kind=trace.SpanKind.SERVER)

    return span
