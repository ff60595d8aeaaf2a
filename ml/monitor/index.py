"""The page over time: every day that was judged, newest first, and what people were told."""

from ml import pages
from ml.context import Context
from ml.monitor import history
from ml.monitor.finding import KINDS

PAGE = "monitor/index.html"
MOST = 120  # days and pieces of news on the page


def write(context: Context) -> None:
    """Write the page anew from the files of the days and the ledger; dossiers are linked where their runs keep them."""
    found = history.days(context, most=MOST)
    told = [entry for entry in context.ledger.entries(context.problem.name) if entry.kind == "told"]
    page = pages.render(
        "days",
        title=f"{context.problem.problem.title}: monitoring over time",
        days=found,
        kinds=[kind for kind in KINDS if any(kind in one.said.verdicts for one in found)],
        told=told[::-1][:MOST],
    )
    context.store.write(PAGE, page.encode())
