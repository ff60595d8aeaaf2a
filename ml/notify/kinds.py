"""What can be told: how serious it is, what it means, and the first thing to do. The rest stands in docs/runbook.md."""

from collections.abc import Mapping
from dataclasses import dataclass

from ml.problem.alerts import Kind, Severity


@dataclass(frozen=True)
class About:
    """What holds for every alert of a kind; docs/runbook.md has a heading of the same name."""

    severity: Severity
    means: str
    do: str


def failure(dag: str) -> Kind:
    """The kind that a failed run of such a DAG is.

    Raises: KeyError: there is none.
    """
    return {kind.removesuffix("_failed"): kind for kind in KINDS if kind.endswith("_failed")}[dag]


KINDS: Mapping[Kind, About] = {
    "retrain_failed": About(
        "warning",
        "No fresh candidate came out of this run; the champion goes on answering, and the next night reads the missed days too.",
        "Read the last line of the task's log, mend what it names, and clear the task: finished stages are not repeated.",
    ),
    "promote_failed": About(
        "warning",
        "The candidate did not become champion; the champion of before goes on answering.",
        "Read the last line of the task's log: it names what changed since the candidate was judged.",
    ),
    "deploy_failed": About(
        "critical",
        "A new version did not take over, or was taken back; the version before it answers.",
        "Run `python -m ml status` to see what answers, then read the last line of the task's log.",
    ),
    "monitor_failed": About(
        "warning",
        "Nobody looked at the last day: drift would not be seen.",
        "Read the last line of the task's log, mend what it names, and clear the task.",
    ),
    "feedback_failed": About(
        "warning",
        "Labels were not joined, or too many of them name requests and keys that are not known.",
        "Read the last line of the task's log; if `watch` failed, look at what clients send.",
    ),
    "backtest_failed": About(
        "info",
        "A replay of the past ended early; nothing that serves is touched.",
        "Read the last line of the task's log and trigger the DAG again: finished nights are not repeated.",
    ),
    "housekeeping_failed": About(
        "warning",
        "What is past its time was not removed: disk fills, and an erased person may still be in old files.",
        "Read the last line of the task's log, mend what it names, and clear the task.",
    ),
    "night_late": About(
        "critical",
        "No retrain has come to an end since its time: it hangs, failed, or was never started.",
        "Look whether the DAG is paused and the scheduler alive, then trigger the DAG by hand.",
    ),
    "drift": About(
        "warning",
        "Requests differ from what the champion learned, in a way that nothing is done about by itself.",
        "Open the dossier of that day's monitor run and decide whether to retrain.",
    ),
    "retrain_asked": About(
        "info",
        "Drift that counts was seen, and a retrain was asked for; nothing is to be done.",
        "Open the dossier of that day's monitor run to see what moved.",
    ),
    "retrain_refused": About(
        "warning",
        "Drift goes on, and the retrain that should answer it was not good enough for the gate.",
        "Read the rules that did not hold in MLflow, and look for the cause of the drift at the source.",
    ),
    "labels_asked": About(
        "warning",
        "Too few answers have a label, so nobody can say whether the model is still right.",
        "Label the rows that were chosen: button on the task `queue` of the DAG feedback.",
    ),
    "approval_waits": About(
        "warning",
        "A candidate passed the gate and waits for a person; no answer in time is a no.",
        "Open Required Actions in Airflow, read, and approve or reject.",
    ),
    "promoted": About("info", "Another version answers from now on, or soon.", "Nothing; the card is in MLflow."),
    "rolled_back": About(
        "critical",
        "The version that answered was taken back, and an earlier one answers again.",
        "Find out why before anything like it is promoted again: `python -m ml ledger show`.",
    ),
}
