"""What follows from what was seen: a retrain, a way back, labels to be asked for, or people to be told. Pure, no I/O, no clock.

Nothing is done before a kind of drift has lasted `persistence` days. Live quality rests on all of `label_days`, so one day of
it is enough. What is done about a drift is done once: keys name the version and the day on which the drift began.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from ml.ledger import Champion, Entry
from ml.problem import Drift
from ml.records import DriftFinding, Interval, Monitored

ActionKind = Literal["retrain", "rollback", "label", "tell"]
ASKED = "retrain_asked"
LASTING = ("concept",)  # kinds whose evidence is of many days by itself


@dataclass(frozen=True)
class Proposal:
    """Something that should be done; `why` names columns and versions, never values of requests."""

    kind: ActionKind
    key: str
    why: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What the monitor found on a day, and what it said on the days before."""

    record: Monitored
    champion: Champion
    day: date
    earlier: Mapping[str, Sequence[date]]  # per kind of drift, days before without a break, newest first

    def drifted(self, kinds: Sequence[str]) -> list[DriftFinding]:
        """Findings of some kinds that say drift."""
        return [one for one in self.record.findings if one.drifted and one.kind in kinds]

    def begun(self, kind: str) -> date:
        """The day on which this drift began."""
        return [self.day, *self.earlier.get(kind, ())][-1]

    def lasting(self, policy: Drift) -> list[str]:
        """Kinds of drift that have lasted long enough to act."""
        moved = [kind for kind, said in self.record.verdicts.items() if said == "drift"]
        return [kind for kind in moved if kind in LASTING or 1 + len(self.earlier.get(kind, ())) >= policy.persistence]


def retrain(seen: Seen, policy: Drift) -> Proposal | None:
    """A retrain, where a kind that the policy names has drifted for long enough."""
    causes = [kind for kind in seen.lasting(policy) if kind in policy.retrain_on]
    if not causes:
        return None
    # Sentences quote values of requests, and the ledger cannot forget: it gets the numbers, the run's record the words.
    reason = f"drift: {', '.join(causes)}"
    body = {
        "reason": reason,
        "since": str(min(map(seen.begun, causes))),
        "findings": [one.model_dump(exclude={"sentence"}, mode="json") for one in seen.drifted(tuple(seen.record.verdicts))],
    }
    return Proposal("retrain", f"v{seen.champion.version}-{seen.day}", reason, body)


def cooling(entries: Sequence[Entry], moment: datetime, days: int) -> Entry | None:
    """The latest request for a retrain that is younger than the cooldown, by the clock of the business."""
    young = [entry for entry in entries if entry.kind == ASKED and abs(moment - entry.at) < timedelta(days=days)]
    return young[-1] if young else None


def may_roll_back(seen: Seen, policy: Drift, metric: str) -> bool:
    """Whether live quality is below its guardrail, and the problem file lets the system go back by itself."""
    return policy.rollback and any(one.subject == metric for one in seen.drifted(LASTING))


def rollback(seen: Seen, earlier: Champion, gain: Interval, metric: str) -> Proposal | None:
    """A way back, where the champion before would have answered the same rows better for sure; once per reign."""
    if not gain.low > 0:
        return None
    champion = seen.champion
    why = f"version {earlier.version} does better on the same answers, {gain_in_words(gain, metric)}"
    body = {"version": champion.version, "to": earlier.version, "entry": champion.entry, "why": why}
    return Proposal("rollback", f"v{champion.version}-move-{champion.entry}", why, body)


def gain_in_words(gain: Interval, metric: str) -> str:
    """How much better, and how sure that is."""
    return f"{metric} by {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def label(seen: Seen, policy: Drift, num_waiting: int, moment: datetime) -> Proposal | None:
    """Ask for labels, where answers are old enough to have some, and too few have come to say how good the model is.

    Args:
        num_waiting: answers of `label_days` whose label is not known.
    """
    champion, known = seen.champion, seen.record.num_labelled
    young = champion.since is None or moment - champion.since < timedelta(days=policy.label_days)
    if young or known >= policy.minimum_rows or known + num_waiting < policy.minimum_rows:
        return None
    why = (
        f"{num_waiting} of {num_waiting + known} answers of {policy.label_days} days have no label, so nobody can say whether "
        f"version {champion.version} is still right"
    )
    return Proposal("label", f"v{champion.version}-{seen.day}", why, {"num_waiting": num_waiting, "num_labelled": known})


def tell(seen: Seen, policy: Drift) -> list[Proposal]:
    """What people should know although nothing else is done about it, once for each time that it begins."""
    only_told = [kind for kind in seen.lasting(policy) if kind not in policy.retrain_on]
    return [_told(seen, kind) for kind in only_told]


def _told(seen: Seen, kind: str) -> Proposal:
    begun, subjects = seen.begun(kind), [one.subject for one in seen.drifted((kind,))]
    why = f"{kind} drift since {begun}: {', '.join(subjects)}; [drift] retrain_on does not name it, so nothing is retrained"
    return Proposal("tell", f"v{seen.champion.version}-{kind}-{begun}", why, {"subjects": subjects})
