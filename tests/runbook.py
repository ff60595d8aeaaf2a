"""The parts of docs/runbook.md that are written once, elsewhere: kinds of alerts, rules, what each DAG says.

`python -m tests.runbook` puts them in again.
"""

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ml.notify import KINDS
from ml.settings import PROJECT

RUNBOOK = PROJECT / "docs" / "runbook.md"
RULES = PROJECT / "infra" / "prometheus" / "alerts.yml"
DAGS = sorted(path for path in (PROJECT / "dags").glob("*.py") if path.stem != "problem_files")


def rules() -> list[dict[str, Any]]:
    """Every rule of the file."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def kinds() -> str:
    """A heading for every kind of alert."""
    return "\n\n".join(f"### {kind}\n\n{one.severity}. {one.means} **Do:** {one.do}" for kind, one in KINDS.items())


def prometheus() -> str:
    """A heading for every rule."""
    return "\n\n".join(
        f"### {rule['alert']}\n\n{rule['labels']['severity']}. {rule['annotations']['means']} **Do:** {rule['annotations']['do']}"
        for rule in rules()
    )


def tasks() -> str:
    """What stands under Triage in every DAG's file."""
    return "\n\n".join(f"### {path.stem}\n\n{triage(path)}" for path in DAGS)


def triage(path: Path) -> str:
    """The list under Triage."""
    doc = inspect.cleandoc(ast.get_docstring(ast.parse(path.read_text())) or "")
    return doc.partition("Triage:")[2].strip()


PARTS: dict[str, Callable[[], str]] = {"kinds": kinds, "rules": prometheus, "tasks": tasks}


def filled(text: str) -> str:
    """The runbook with every part as it stands now where it is written."""
    for name, part in PARTS.items():
        block = f"<!-- {name} -->\n{part()}\n<!-- /{name} -->"
        text = re.sub(f"<!-- {name} -->\n.*?<!-- /{name} -->", lambda _, block=block: block, text, flags=re.DOTALL)
    return text


def anchors(text: str) -> set[str]:
    """What links into the page may name, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def game_days(text: str) -> list[str]:
    """The commands that are run as they stand."""
    return re.findall(r"^```sh game-day\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    RUNBOOK.write_text(filled(RUNBOOK.read_text()))
