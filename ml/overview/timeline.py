"""The ledger in words that everybody knows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ml.ledger import Entry
from ml.policy import DECIDED

SILENT = {"judged"}  # bookkeeping of the gate
LONGEST = 280  # characters of a reason


@dataclass(frozen=True)
class Event:
    """One entry, told. `tone`: good, bad, or nothing."""

    at: datetime
    kind: str
    what: str
    why: str
    actor: str
    version: int | None
    run_key: str | None
    tone: str = ""


def events(entries: Iterable[Entry], most: int) -> list[Event]:
    """The newest entries that people ask about, newest first."""
    told = [one for one in entries if one.kind not in SILENT][::-1]
    return [event(one) for one in told[:most]]


def event(entry: Entry) -> Event:
    """One entry in words; a kind that is not known here is told by its own name."""
    if entry.kind == "verdict":
        (what, why), tone = _verdict(entry), {"promote": "good", "reject": "bad"}.get(_decision(entry), "")
    else:
        tell, tone = WORDS.get(entry.kind, (lambda one: one.kind.replace("_", " ").capitalize(), ""))
        what, why = tell(entry), reason(entry)
    return Event(entry.at, entry.kind, what, _short(why), entry.actor, entry.version, entry.run_key, tone)


def reason(entry: Entry) -> str:
    """What somebody said why, where anything was said."""
    return next((str(entry.body[name]) for name in ("why", "comment", "reason", "story") if entry.body.get(name)), "")


def _version(entry: Entry) -> str:
    return f"Version {entry.version}" if entry.version is not None else "The model"


def _decision(entry: Entry) -> str:
    return str(dict(entry.body.get("verdict", {})).get("decision", ""))


def _verdict(entry: Entry) -> tuple[str, str]:
    verdict = dict(entry.body.get("verdict", {}))
    broken = [rule["sentence"] for rule in verdict.get("rules", ()) if not rule.get("holds")]
    said = {"promote": "Every rule held: the candidate may replace the champion", "reject": "The candidate was refused"}
    dry = " (dry run)" if verdict.get("dry_run") else ""
    return said.get(_decision(entry), "The candidate could not be judged") + dry, "; ".join(broken)


def _decided(entry: Entry) -> str:
    return "New training" if entry.body.get("train") else "No training needed"


def _promoted(entry: Entry) -> str:
    before = entry.body.get("previous")
    return f"{_version(entry)} became champion" + (f" after version {before}" if before else "")


def _step(entry: Entry) -> str:
    shares, step = entry.body.get("shares", ()), int(entry.body.get("step", 0))
    share = shares[step] if step < len(shares) else 0
    return f"{_version(entry)} " + (f"answers {share:.0%} of callers" if share else "looks on")


def _of(text: str) -> Callable[[Entry], str]:
    return lambda entry: text.format(version=_version(entry))


WORDS: Mapping[str, tuple[Callable[[Entry], str], str]] = {
    DECIDED: (_decided, ""),
    "promote": (_promoted, "good"),
    "rollback": (_of("Back to {version}"), "bad"),
    "deployed": (_of("{version} answers callers"), "good"),
    "deploy_failed": (_of("{version} did not come into service"), "bad"),
    "rollout": (_step, ""),
    "rollout_order": (lambda one: f"Rollout: {one.body.get('order', 'order')}", ""),
    "approval_asked": (_of("{version} waits for an approval"), ""),
    "approved": (_of("{version} was approved"), "good"),
    "rejected": (_of("{version} was rejected"), "bad"),
    "refused": (_of("{version} was not promoted"), "bad"),
    "alias_refused": (_of("An alias that was moved by hand was put back"), "bad"),
    "retrain_asked": (_of("Drift asks for a retrain"), "bad"),
    "rollback_asked": (_of("Drift asks for the way back"), "bad"),
    "labels_asked": (_of("Labels are asked for"), ""),
    "told": (_of("News"), ""),
    "contract": (_of("A change of the source was accepted"), ""),
    "batch_excluded": (_of("Days were taken out"), ""),
    "batch_included": (_of("Days were taken back in"), ""),
    "erase": (_of("A person was erased"), ""),
}


def _short(text: str) -> str:
    said = " ".join(text.split())
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"
