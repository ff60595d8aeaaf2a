"""The fields of the trigger forms.

A field that may stay empty needs the type null, or the form demands it. No field has a section: those are closed at first.
"""

from typing import Any

from airflow.sdk import Param

POLICIES = ("never", "nightly", "weekly", "drift", "performance", "evergreen")
DAY = r"\d{4}-\d{2}-\d{2}"


def retrain() -> dict[str, Any]:
    """What a person may ask of a retrain."""
    return {
        "window": _window(
            "Which days to read. **Empty**: the new days up to yesterday, and a few before them for late rows. "
            "One day: **2013-01-31**. Several: **2013-01-01/2013-02-01**, where the last day is not part of it. "
            "Days are cut in the problem's time zone. A backfill takes each run's own day; leave this empty there."
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Train and judge, but make no version and ask for no promotion.",
        ),
        "tune": Param(
            False,
            type="boolean",
            title="Tune",
            description_md=(
                "Search better settings of the network before the training, within `[tune] trials` and `budget_minutes` of "
                "the problem file. Later nights use what is found, until the file changes."
            ),
        ),
        "reason": Param(
            None,
            type=["null", "string"],
            maxLength=500,
            title="Reason",
            description="Why, in your words. Stays with the run and in its log.",
        ),
    }


def monitor() -> dict[str, Any]:
    """What a person may ask of the monitor."""
    return {
        "window": _window(
            "Which days of the past to look at, with every label that is known by now. **Empty**: the last days, as every "
            "morning, and what is due is done. One day: **2013-01-31**. Several: **2013-01-01/2013-02-01**, where the last "
            "day is not part of it. With a window nothing follows from what is found."
        ),
    }


def backtest() -> dict[str, Any]:
    """What a person may ask of a backtest."""
    return {
        "first": _day("From", "Day of the first night. Days before it are needed to learn from. **Empty**: 90 days before To."),
        "last": _day("To", "Day after the last answers that are judged. **Empty**: today."),
        "policies": Param(
            list(POLICIES),
            type="array",
            examples=list(POLICIES),
            items={"type": "string", "enum": list(POLICIES)},
            minItems=1,
            uniqueItems=True,
            title="Policies",
            description="Which to try, each on all nights.",
        ),
        "every": Param(
            1,
            type="integer",
            minimum=1,
            title="Days between nights",
            description_md="**1** is a night a day, as in production. More is faster: the nights between are not played.",
        ),
        "share": Param(
            1.0,
            type="number",
            exclusiveMinimum=0,
            maximum=1,
            title="Share of the keys",
            description="Less is faster and less sure. The same keys are taken every time.",
        ),
        "workers": Param(
            1,
            type="integer",
            minimum=1,
            maximum=4,
            title="Policies at once",
            description="Each holds a core and the memory of a training.",
        ),
        "sample": Param(
            False,
            type="boolean",
            title="Sample history",
            description="Play the history that comes with the problem (flights: 2013) instead of what was validated here.",
        ),
    }


def promote() -> dict[str, Any]:
    """What a person may ask of a promotion."""
    return {
        "version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Version",
            description_md=(
                "Which version of the model in the registry becomes champion. **Empty**: the newest one whose "
                "promotion is due. Only a version whose verdict says promote may become champion."
            ),
        ),
        "comment": Param(
            None,
            type=["null", "string"],
            maxLength=500,
            title="Comment",
            description="Why, in your words. Stays in the ledger when a version is named above.",
        ),
    }


def deploy() -> dict[str, Any]:
    """What a person may ask of a deployment."""
    return {
        "mode": Param(
            None,
            type=["null", "string"],
            enum=[None, "direct", "shadow", "canary", "ab"],
            title="Mode",
            description_md=(
                "How the champion takes over. **Empty**: as `[serving] rollout` of the problem file says. **direct**: at once. "
                "**shadow**: it looks on first. **canary**: it answers a growing share. **ab**: both, until their costs differ."
            ),
        ),
        "order": Param(
            None,
            type=["null", "string"],
            enum=[None, "hold", "resume", "finish", "back"],
            title="Order",
            description_md=(
                "For the rollout that is under way. **hold**: stay at this step. **resume**: go on. **finish**: let the champion "
                "answer everybody now. **back**: make the champion before this one champion again, and let it answer."
            ),
        ),
        "version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Back to version",
            description_md="With the order **back**: an earlier champion to go back to. **Empty**: the one before this one.",
        ),
        "comment": Param(
            None, type=["null", "string"], maxLength=500, title="Comment", description="Why, in your words. Stays in the ledger."
        ),
    }


def _day(title: str, told: str) -> Param:
    """One day, or nothing."""
    return Param(None, type=["null", "string"], format="date", title=title, description_md=told)


def _window(told: str) -> Param:
    """One day or several, or nothing."""
    return Param(None, type=["null", "string"], pattern=rf"^{DAY}(/{DAY})?$", title="Window", description_md=told)
