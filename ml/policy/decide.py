"""The policies. Each is asked in the same way: what is known, what the problem file says; the answer has a reason in words."""

from collections.abc import Callable
from dataclasses import replace

from ml.policy.known import Decision, Known
from ml.problem import Retraining

WEEK = 7


def decide(known: Known, policy: Retraining) -> Decision:
    """Whether this night trains, and from which window.

    Without a champion every policy trains. Whatever a policy wants, the month's minutes hold, but for the first model.
    Call `must_look` first: where it says so, `known.look` is needed.
    """
    if not known.changed and not known.edited and not known.asked:
        return Decision(False, "unchanged", "the rows are those that the last verdict was about")
    if not known.serving:
        return Decision(True, "first", "there is no champion yet").from_best(known.look)
    wanted = POLICIES[policy.policy](known, policy)
    if wanted.train and (why := _too_dear(known, policy)):
        return Decision(False, "budget", f"{why}, although {wanted.why}")
    return wanted.from_best(known.look)


def must_look(known: Known, policy: Retraining) -> bool:
    """Whether `evergreen` needs a comparison of windows: to see a gain, or to choose the window of a training."""
    if policy.policy != "evergreen":
        return False
    seen = decide(replace(known, look=None), policy)
    return seen.rule == "not assessable" or (seen.train and len(policy.windows) > 1)


def _too_dear(known: Known, policy: Retraining) -> str | None:
    limit = policy.minutes_per_month
    if limit is None or known.minutes_spent + known.minutes_needed <= limit:
        return None
    return (
        f"trainings took {known.minutes_spent:.1f} minutes in 30 days, one more takes about {known.minutes_needed:.1f}, and "
        f"[retraining] minutes_per_month is {limit:g}"
    )


def _never(known: Known, policy: Retraining) -> Decision:
    return Decision(False, "never", "[retraining] policy is never, and there is a champion")


def _nightly(known: Known, policy: Retraining) -> Decision:
    return _asked(known) or Decision(True, "nightly", "there are new rows")


def _weekly(known: Known, policy: Retraining) -> Decision:
    if found := _asked(known):
        return found
    told = f"the last training was {_days(known.days_since)} ago"
    return Decision(known.days_since >= WEEK, "weekly", told if known.days_since >= WEEK else f"{told}, less than a week")


def _on_drift(known: Known, policy: Retraining, kinds: frozenset[str] | None = None) -> Decision:
    if found := _asked(known):
        return found
    drifted = sorted(known.drifted if kinds is None else known.drifted & kinds)
    if not drifted:
        return Decision(False, "no drift", f"no {'drift' if kinds is None else 'loss of live quality'} since the last training")
    return _rested(known, policy) or Decision(True, "drift", f"drift was seen: {', '.join(drifted)}")


def _on_loss(known: Known, policy: Retraining) -> Decision:
    return _on_drift(known, policy, frozenset({"concept"}))


def _evergreen(known: Known, policy: Retraining) -> Decision:
    if found := _asked(known):
        return found
    if known.days_since >= policy.longest_days:
        told = f"the last training was {_days(known.days_since)} ago, and [retraining] longest_days is {policy.longest_days}"
        return Decision(True, "longest", told)
    return _rested(known, policy) or _given(known, policy) or _enough(known, policy) or _gain(known, policy)


def _asked(known: Known) -> Decision | None:
    """What no policy but `never` passes over: a retrain that is due, a problem file that says something else."""
    if known.asked:
        return Decision(True, "drift", f"a retrain is due: {'; '.join(known.asked)}")
    if known.edited:
        return Decision(True, "edited", f"the problem file has changed since the last training: {', '.join(known.edited)}")
    return None


def _rested(known: Known, policy: Retraining) -> Decision | None:
    if known.days_since >= policy.shortest_days:
        return None
    told = f"the last training was {_days(known.days_since)} ago, and [retraining] shortest_days is {policy.shortest_days}"
    return Decision(False, "too soon", told)


def _given(known: Known, policy: Retraining) -> Decision | None:
    """Labels that were given for rows of any age: no comparison of windows would show what they are worth."""
    if known.num_given < max(policy.new_evidence * known.num_learned, 1):
        return None
    return Decision(True, "given", f"{known.num_given:,} labels were given by people or programs since the last training")


def _enough(known: Known, policy: Retraining) -> Decision | None:
    needed = policy.new_evidence * known.num_learned
    if known.num_new >= max(needed, 1):
        return None
    return Decision(
        False,
        "too little",
        f"{known.num_new:,} labelled rows are new since the last look, too few to matter beside the {known.num_learned:,} of the "
        f"last training; [retraining] new_evidence asks for {max(needed, 1):,.0f}",
    )


def _gain(known: Known, policy: Retraining) -> Decision:
    """Do the new rows make a better model? A cheap one says so before a dear one is trained."""
    best = known.look.best if known.look else None
    if best is None or best.gain is None:
        why = known.look.why_not if known.look else "nobody looked"
        return Decision(False, "not assessable", f"whether new rows help is not known: {why}")
    told = (
        f"a simple model with the new rows is {abs(best.gain):.4f} {'better' if best.gain > 0 else 'worse'} than one without "
        f"them, {best.share:.1%} of its remaining error (p = {best.p_value:.3f}); [retraining] asks for {policy.least_gain:.1%} "
        f"and p up to {policy.level:g}"
    )
    if best.p_value <= policy.level and best.share >= policy.least_gain:
        return Decision(True, "gain", told)
    return Decision(False, "no gain", f"new rows bring nothing that counts: {told}")


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


POLICIES: dict[str, Callable[[Known, Retraining], Decision]] = {
    "never": _never,
    "nightly": _nightly,
    "weekly": _weekly,
    "drift": _on_drift,
    "performance": _on_loss,
    "evergreen": _evergreen,
}
