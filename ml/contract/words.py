"""The contract and its differences as a person reads them, at night and tired."""

from collections.abc import Sequence

from ml.contract.compare import summary
from ml.contract.record import Contract, Difference

SHOWN = 12  # differences that are told one by one


def told(place: str, problem: str, contract: Contract, differences: Sequence[Difference]) -> str:
    """What a run says when it stops."""
    number = f"{len(differences)} difference{'s' if len(differences) > 1 else ''}"
    since = (
        f"{contract.accepted[-1].at:%Y-%m-%d}, when it was last accepted"
        if contract.accepted
        else f"{contract.recorded_at:%Y-%m-%d}"
    )
    return (
        f"{place} is not what it was on {since}: {number}. Nothing was written.\n{listed(differences)}\n"
        f"Not meant? Mend the source, then clear this task. Meant? python -m ml contract accept --problem {problem} --why '...'"
    )


def listed(differences: Sequence[Difference], most: int = SHOWN) -> str:
    """Each difference with its facts and its explanations."""
    lines = []
    for difference in differences[:most]:
        first, *others = difference.hypotheses
        lines += [f"  {difference.column}: {difference.what}", f"      most likely ({first.score:.0%}): {first.sentence}"]
        lines += [f"      or ({other.score:.0%}): {other.sentence}" for other in others]
    if len(differences) > most:
        lines.append(f"  and {len(differences) - most} more: python -m ml contract diff shows all")
    return "\n".join(lines)


def describe(contract: Contract) -> list[dict[str, object]]:
    """One row per column, for a table."""
    return [
        {
            "column": name,
            "source type": column.source_type or "",
            "declared": column.declared or "not read",
            "unit": column.unit,
            "looks like": summary(column.profile) if column.profile else "",
        }
        for name, column in contract.columns.items()
    ]
