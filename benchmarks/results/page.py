"""The page: a table a study, and what it says in words; every figure comes from the run."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from benchmarks.results.studies import Study

HEAD = """# What the models reach

Written by `make results` on {day}: {minutes} minutes on {cores} cores, Python {python}. Each row is a night as the system
runs it (ingest, validate, prepare, train, evaluate), on the days that had labels by then; the test days are the newest and
nobody learned from them. ROC AUC with 95 % intervals over whole test days; gains are paired on the same rows. Boosting is
scikit-learn's HistGradientBoosting, stopped by the same validation rows. Tuned settings were searched once, on the rows of the
first night without its test days, and used on all four nights.
"""


def page(found: Mapping[Study, list[dict[str, Any]]], about: Mapping[str, Any], day: date) -> str:
    """The whole page as Markdown."""
    return "\n".join([HEAD.format(day=day, **about), *(_study(study, rows) for study, rows in found.items())])


def sections(text: str, titles: Collection[str]) -> list[str]:
    """The sections of a page that have one of these titles."""
    return [f"## {part}" for part in text.split("\n## ")[1:] if part.partition("\n")[0] in titles]


def with_section(text: str, section: str) -> str:
    """The page with this section in the place of the one of the same title, or at its end."""
    head, *parts = text.rstrip("\n").split("\n## ")
    new = section.removeprefix("## ").strip("\n")
    title = new.partition("\n")[0]
    if not any(part.partition("\n")[0] == title for part in parts):
        parts.append(new)
    held = [new if part.partition("\n")[0] == title else part.strip("\n") for part in parts]
    return "\n\n## ".join([head.rstrip("\n"), *held]) + "\n"


def _study(study: Study, rows: list[dict[str, Any]]) -> str:
    models, gains = list(rows[0]["models"]), list(rows[0]["gains"])
    shown = [name for name in models if name not in ("prior tuned", "linear tuned", "boosting tuned", "prior off")]
    header = ["judged on", "rows", "learned from", *shown]
    table = [_line(header), _line([":--", "--:", "--:", *["--:"] * len(shown)])]
    table += [
        _line([row["days"], f"{row['test']:,}", f"{row['train']:,}", *(_told(row["models"][m]) for m in shown)]) for row in rows
    ]
    paired = [_line(["judged on", *gains]), _line([":--", *["--:"] * len(gains)])]
    paired += [_line([row["days"], *(_gain(row["gains"][name]) for name in gains)]) for row in rows]
    words = "\n".join(f"- {_in_words(name, [row['gains'][name] for row in rows])}" for name in gains)
    return f"## {study.title}\n\n" + "\n".join(table) + "\n\n" + "\n".join(paired) + f"\n\n{words}\n"


def _in_words(name: str, gains: list[dict[str, float]]) -> str:
    """Who is ahead, how often for sure."""
    better, worse = sum(one["low"] > 0 for one in gains), sum(one["high"] < 0 for one in gains)
    mean = sum(one["value"] for one in gains) / len(gains)
    if not any(one["low"] or one["value"] or one["high"] for one in gains):
        return f"{name}: nothing, the search found no settings whose gain exceeds its noise, so the present ones stayed."
    level = len(gains) - better - worse
    return (
        f"{name}: {mean:+.4f} on average; better for sure on {better} of {len(gains)} windows, worse for sure on {worse}, "
        f"within noise on {level}."
    )


def _told(one: dict[str, float]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})" if one["high"] > one["low"] else f"{one['value']:.3f}"


def _gain(one: dict[str, float]) -> str:
    return f"{one['value']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
