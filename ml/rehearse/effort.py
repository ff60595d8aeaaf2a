"""What the trainings took, side by side: nothing is measured here, each run's own record says it."""

from pydantic import ValidationError

from ml.context import Context
from ml.errors import DataError
from ml.ledger import Champion
from ml.records import Effort, Efforts, Trained

UNKNOWN = "was trained before CPU time was recorded"


def compared(context: Context, trained: Trained, champion: Champion | None) -> Efforts:
    """The candidate's training beside the champion's; a champion whose record is gone or of another model is told."""
    mine = effort(trained)
    if champion is None or champion.run_key == context.run_key:
        return Efforts(candidate=mine)
    who = f"champion {champion.version}"
    try:
        record = context.of_run(champion.run_key).record(Trained)
    except (DataError, ValidationError):
        return Efforts(candidate=mine, problem=f"the run folder of {who} has no record of its training any more")
    if record.model_digest != champion.model_digest:
        return Efforts(candidate=mine, problem=f"the run of {who} has trained another model since")
    theirs = effort(record)
    unknown = who if not theirs.cpu_seconds else "the candidate" if mine.cpu_seconds is None else ""
    return Efforts(candidate=mine, champion=theirs, problem=f"{unknown} {UNKNOWN}" if unknown else "")


def effort(trained: Trained) -> Effort:
    """What the record of a training says of its cost."""
    return Effort(
        seconds=trained.seconds,
        cpu_seconds=trained.cpu_seconds,
        row_epochs=trained.row_epochs,
        machine=trained.made_on.get("cpu", ""),
    )
