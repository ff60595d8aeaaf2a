"""What tests on nights of real flights share; the fixtures `production` and `home` of conftest begin with NIGHT."""

from datetime import datetime

from ml import samples

NIGHT, NEXT = "2013-02-01T03:00:00-05:00", "2013-02-02T03:00:00-05:00"


def restore(production: str) -> None:
    """Put the flights back to NIGHT: on the way back from NEXT the table is filled anew, so what a test broke is whole again."""
    for moment in (NEXT, NIGHT):
        samples.advance("flights", production, datetime.fromisoformat(moment))
