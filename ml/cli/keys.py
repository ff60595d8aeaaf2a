"""API keys of the prediction service's clients."""

from datetime import timedelta
from enum import Enum
from typing import Annotated, Any

import typer

from ml import database, keys, settings
from ml.cli.options import JsonOption, actor, show, table


class Allowed(Enum):
    """The scopes, as typer takes them."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    DEPLOY = "deploy"


def register(app: typer.Typer) -> None:
    """Add `keys`."""
    group = typer.Typer(help="Who may ask the prediction service, and who may change its versions.", no_args_is_help=True)
    group.command("new", help="Make a key for a client; it is printed this once, the database keeps its sha256.")(new)
    group.command("list", help="Every key that was made, and whether it still lets anybody in.")(list_keys)
    group.command("revoke", help="Let a key in no more; running services know within seconds.")(revoke)
    app.add_typer(group, name="keys")


def new(
    client: Annotated[str, typer.Argument(help="who will use it, as it appears in lists, logs and metrics", metavar="CLIENT")],
    scope: Annotated[
        list[Allowed] | None,
        typer.Option(help="what it allows, predict by default; repeat for several: what is told as feedback is learned from"),
    ] = None,
    per_minute: Annotated[int | None, typer.Option(min=1, help="requests it may send; no limit by default")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="days until it expires; never by default")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the key; with one in the table the service is open to nobody without."""
    where = settings.read()
    now = where.now()
    asked = keys.Asked(
        client=client,
        scopes=tuple(one.value for one in dict.fromkeys(scope or [Allowed.PREDICT])),
        per_minute=per_minute,
        expires_at=now + timedelta(days=days) if days else None,
    )
    database.migrate(where.database_url)
    made, text = keys.new(where.database_url, asked, actor=actor(), now=now)
    show(
        _told(made) | {"key": text},
        as_json=as_json,
        text=f"{text}\nSend it as 'Authorization: Bearer KEY'. It is not shown again.",
    )


def list_keys(as_json: JsonOption = False) -> None:
    """Print keys without what is secret."""
    where = settings.read()
    database.migrate(where.database_url)
    now = where.now()
    told = [_told(key) | {"holds": "yes" if key.holds(now) else "no"} for key in keys.every(where.database_url)]
    columns = ["id", "client", "scopes", "per_minute", "made_at", "made_by", "expires_at", "revoked_at", "revoked_by", "holds"]
    show(told, as_json=as_json, text=table(told, columns))


def revoke(
    key: Annotated[str, typer.Argument(help="id of the key, as `keys list` shows it", metavar="ID")], as_json: JsonOption = False
) -> None:
    """Revoke by id."""
    where = settings.read()
    gone = keys.revoke(where.database_url, key, actor=actor(), now=where.now())
    show(_told(gone), as_json=as_json, text=f"{gone.id} of {gone.client} lets nobody in any more")


def _told(key: keys.Key) -> dict[str, Any]:
    told = key.model_dump(mode="json", exclude={"digest"})
    return told | {"scopes": " ".join(key.scopes)}
