"""The only place that talks to the outside: one message to one address, through Apprise."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from ml.errors import ConfigError, TransientError
from ml.notify.message import Message

# what a sink may know the same message by when it comes twice, because the first answer was lost
STAMPS = {"json": "+Idempotency-Key", "jsons": "+Idempotency-Key", "pagerduty": "dedup"}
CHATTY = ("apprise", "urllib3", "requests")  # their words may hold addresses, and those hold tokens


def send(message: Message, route: str, address: SecretStr) -> None:
    """Hand a message over; it is sent when this returns.

    Raises:
        TransientError: the sink is away or said no; whether it got the message all the same is not known.
        ConfigError: the address is none.
    """
    import apprise

    kinds = {"info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING, "critical": apprise.NotifyType.FAILURE}
    with _silent() as said:
        asset = apprise.AppriseAsset(app_id="Evergreen", app_desc="Evergreen", secure_logging=True)
        sink = apprise.Apprise.instantiate(_stamped(address.get_secret_value(), message.stamp), asset=asset)
        if sink is None:
            raise ConfigError(
                f"The address of route {route!r} is none that can be sent to. Correct it in the file that EVERGREEN_ALERTS "
                "names; docs/alerts.md shows some."
            )
        taken = sink.notify(
            body=message.text, title=message.subject, notify_type=kinds[message.severity], body_format=apprise.NotifyFormat.TEXT
        )
    if not taken:
        raise TransientError(f"Route {route!r} took no message: {_reason(said)}. It is tried again.")


def _stamped(address: str, stamp: str) -> str:
    name = STAMPS.get(address.partition(":")[0])
    return f"{address}{'&' if '?' in address else '?'}{name}={stamp}" if name else address


def _reason(said: list[str]) -> str:
    """What of Apprise's words is no secret: the status."""
    codes = re.findall(r"error[= ](\d{3})", " ".join(said))
    return f"it answered {codes[-1]}" if codes else "it is away or refuses"


@contextmanager
def _silent() -> Iterator[list[str]]:
    """Keep what the libraries say to ourselves, also where somebody logs everything."""
    said: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler, loggers = Kept(logging.WARNING), [logging.getLogger(name) for name in CHATTY]
    before = [(one.propagate, one.level) for one in loggers]
    for one in loggers:
        one.propagate = False
        one.setLevel(logging.WARNING)
        one.addHandler(handler)
    try:
        yield said
    finally:
        for one, (propagate, level) in zip(loggers, before, strict=True):
            one.removeHandler(handler)
            one.propagate = propagate
            one.setLevel(level)
