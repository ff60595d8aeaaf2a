"""The pages about a run's data, for people. Off the way of the night: what fails here costs a page and nothing else."""

import logging

from ml import understand
from ml.context import Context
from ml.pages import validation

log = logging.getLogger(__name__)


def run(context: Context) -> list[str]:
    """Write the pages of a run and return their names; none when its validation did not get as far as a result.

    Raises: DataError, TransientError: as the store and the tables say.
    """
    if not context.store.exists(context.name("validation.json")):
        return []
    content = context.store.read_json(context.name("validation.json"))
    context.store.write(context.name(validation.PAGE), validation.page(content, context.problem).encode())
    log.info("report: %s", context.store.location(context.name(validation.PAGE)))
    if context.reason == "backfill":  # a month of days would draw the same months thirty times
        return [validation.PAGE]
    understand.run(context)
    return [validation.PAGE, understand.PAGE]
