"""Taking a bad batch back: which champion is clean, which days go, and what is due then. The moves are others' work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ml import exclusions, marks
from ml.context import Context
from ml.errors import ConfigError, RefusedError
from ml.exclusions import IN, OUT, Exclusion
from ml.ledger import Champion, Work
from ml.lineage.batch import Blast
from ml.window import Window, local_day


@dataclass(frozen=True)
class Plan:
    """What will be done about a batch.

    Attributes:
        target: the champion to return to; None when the present one is clean or is to stay, or there is none.
        days: those that are not out yet.
        withdrawn: promotions that are due and would bring a touched version.
    """

    blast: Blast
    champion: Champion | None
    target: Champion | None
    days: tuple[date, ...]
    withdrawn: tuple[Work, ...]

    @property
    def steps(self) -> list[str]:
        """What will be done, in words and in order."""
        out = f"exclude {self.blast.window} from every later snapshot and label join"
        steps = [out if self.days else f"{self.blast.window} is excluded already"]
        steps += [f"withdraw the promotion of version {work.body['version']} that is due" for work in self.withdrawn]
        if self.champion and self.target:
            steps += [f"roll back from version {self.champion.version} to version {self.target.version} and deploy it"]
        elif self.champion:
            touched = self.champion.version in self.blast.versions
            told = "although the batch touched it" if touched else "because the batch did not touch it"
            steps += [f"leave the champion, version {self.champion.version}, {told}"]
        return [*steps, "ask for a retrain without these days"]


def plan(context: Context, blast: Blast, *, stay: bool = False) -> Plan:
    """Decide what a batch's undoing takes; nothing is done yet.

    Args:
        stay: leave the champion where it is, touched or not.
    Raises:
        RefusedError: the champion is touched, and so is every one before it.
        ConfigError: the days are yet to come.
    """
    today = local_day(context.settings.now(), context.problem.source.timezone)
    if blast.window.end > today + timedelta(days=1):
        raise ConfigError(f"{blast.window} has days after today, {today}: nothing learned from them. Name days that have been.")
    ledger, held = context.ledger, exclusions.read(context)
    standing = ledger.succession(context.problem.name)
    waits = [work for kind in ("promote", "approve") for work in ledger.due(context.problem.name, kind)]
    due = [work for work in waits if work.body["version"] in blast.versions]
    return Plan(
        blast=blast,
        champion=standing[-1] if standing else None,
        target=None if stay else clean_champion(standing, blast),
        days=tuple(day for day in blast.window if day not in held),
        withdrawn=tuple(due),
    )


def clean(context: Context, blast: Blast) -> Champion:
    """The champion that the batch did not touch: the present one, or the one an undoing returns to.

    Raises: RefusedError: there is none.
    """
    standing = context.ledger.succession(context.problem.name)
    if not standing:
        raise RefusedError(f"{context.problem.name} has no champion to score with. Promote a version first.")
    return clean_champion(standing, blast) or standing[-1]


def clean_champion(standing: Sequence[Champion], blast: Blast) -> Champion | None:
    """The newest earlier champion that the batch did not touch; None when the present one is clean.

    Args:
        standing: the champions that still stand, oldest first.
    Raises: RefusedError: there is none.
    """
    touched = {*blast.versions, *blast.unknown}
    if not standing or standing[-1].version not in touched:
        return None
    clean = [champion for champion in standing[:-1] if champion.version not in touched]
    if not clean:
        told = ", ".join(str(champion.version) for champion in standing)
        raise RefusedError(
            f"The batch {blast.window} touched every champion there was ({told}), so there is no clean one to return to. Take "
            f"the days out instead: `python -m ml lineage batch {blast.window} --exclude --why ...`. The champion stays, and the "
            "next night learns without them."
        )
    return clean[-1]


def exclude(context: Context, made: Plan, *, actor: str, why: str) -> bool:
    """Take the days out, withdraw what is due, ask for a retrain; returns whether that retrain is newly due.

    The retrain starts when the next monitoring announces it, or is the next night, which does not skip then.
    """
    blast, name = made.blast, context.problem.name
    ledger = context.ledger
    about = Exclusion(by=actor, at=context.settings.now(), why=why)
    exclusions.write(context, exclusions.read(context) | dict.fromkeys(made.days, about))
    days = [str(day) for day in blast.window]
    key = f"{blast.window}, {context.run_key}"
    body = {
        "days": days,
        "raw_version": blast.raw_version,
        "why": why,
        "runs": {model.run_key: [str(day) for day in model.days] for model in blast.models},
        "versions": list(blast.versions),
    }
    ledger.append(name, OUT, key=key, actor=actor, run_key=context.run_key, body=body)
    for work in made.withdrawn:
        ledger.done(work, f"withdrawn: it learned from {blast.window}, which was excluded")
    context.store.delete(marks.LEARNED)  # the next night has something to learn even if no row is new
    return ledger.ask(name, "retrain", key, {"reason": f"without {blast.window}", "excluded": days, "run_key": context.run_key})


def include(context: Context, window: Window, *, actor: str, why: str) -> tuple[date, ...]:
    """Take days back in and drop the retrains that were to do without them; returns the days that had been out."""
    held, name = exclusions.read(context), context.problem.name
    back = tuple(day for day in window if day in held)
    if not back:
        return ()
    ledger = context.ledger
    exclusions.write(context, {day: about for day, about in held.items() if day not in back})
    days = [str(day) for day in back]
    body = {"days": days, "why": why}
    ledger.append(name, IN, key=f"{window}, {context.run_key}", actor=actor, run_key=context.run_key, body=body)
    for work in ledger.due(name, "retrain"):
        if set(work.body.get("excluded", ())) & set(days):
            ledger.done(work, f"{window} was included again")
    context.store.delete(marks.LEARNED)
    return back
