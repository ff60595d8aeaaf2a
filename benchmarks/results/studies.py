"""What is tried: a problem file, on which nights, and in which variants."""

import re
from dataclasses import dataclass
from pathlib import Path

from ml.settings import PROJECT

NARRATIVES = "cfpb_narratives_2015_2016.parquet"
BUREAU = {  # of the extract's columns to those of the Bureau's CSV, which the sample reads
    "complaint_id": "Complaint ID",
    "date_received": "Date received",
    "date_sent_to_company": "Date sent to company",
    "product": "Product",
    "issue": "Issue",
    "company": "Company",
    "state": "State",
    "zip_code": "ZIP code",
    "submitted_via": "Submitted via",
    "company_response_to_consumer": "Company response to consumer",
    "consumer_consent_provided": "Consumer consent provided?",
    "consumer_complaint_narrative": "Consumer complaint narrative",
    "consumer_disputed": "Consumer disputed?",
}
SEARCH = "\n[tune]\ntrials = 12\nbudget_minutes = 6\n"
CALM = "\n[contract]\nstop = false\n"  # windows lie months apart, and seasons are no fault of the source


@dataclass(frozen=True)
class Study:
    """One table of the page.

    `days` is how far back every night reads; `without` names a feature that one variant does without; `tuned` adds one
    whose settings were searched on the first night.
    """

    name: str
    title: str
    sample: str
    nights: tuple[str, ...]
    days: int
    tuned: bool = False
    without: str = ""
    data: str = ""  # of the extracts' folder; empty: the sample needs none
    training: str = ""  # more lines for [training]

    def text(self) -> str:
        """The problem file, under the study's name."""
        text = (PROJECT / "ml" / "problems" / f"{self.sample}.toml").read_text()
        trained = text.replace("[training]\n", f"[training]\n{self.training}", 1)
        # A window that is asked for is judged whole, its newest days too, which are not published yet.
        trained = re.sub(r"(?m)^row_count = .*$", 'row_count = { warning = "off" }', trained)
        return re.sub(r'(?m)^name = ".*"$', f'name = "{self.name}"', trained, count=1) + CALM + SEARCH


STUDIES = (
    Study(
        "flights",
        "Flights: more than 15 minutes late, asked two hours before departure",
        "flights",
        ("2013-03-15", "2013-06-15", "2013-09-15", "2013-12-15"),
        60,
        tuned=True,
    ),
    Study(
        "complaints",
        "Complaints, all of them: is the answer disputed (3 in 100 rows have a narrative)",
        "complaints",
        ("2013-09-01", "2014-09-01", "2015-09-01", "2016-06-01"),
        440,
        tuned=True,
        data=".",
    ),
    Study(
        "narratives",
        "Complaints with a narrative: text on and off",
        "complaints",
        ("2015-12-01", "2016-01-01", "2016-02-01", "2016-03-01"),
        440,
        without="narrative",
        data=NARRATIVES,
        training="batch_size = 64\n",  # a few thousand rows are few steps otherwise
    ),
)


def source(study: Study, extracts: Path, scratch: Path) -> Path | None:
    """What the sample is loaded from: nothing, the folder of extracts, or one extract as the Bureau's CSV."""
    if not study.data or study.data == ".":
        return extracts if study.data else None
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    raw = pq.read_table(extracts / study.data)
    path = scratch / f"{study.name}.csv"
    named = raw.select(list(BUREAU)).rename_columns(list(BUREAU.values()))
    disputed = named.column_names.index(BUREAU["consumer_disputed"])
    values = ["Yes" if value else "No" for value in named.column(disputed).cast("bool").to_pylist()]
    pacsv.write_csv(named.set_column(disputed, BUREAU["consumer_disputed"], [values]), path)
    return path


def plain(text: str, name: str, without: str) -> str:
    """The problem file under another name and without one feature."""
    renamed = re.sub(r'(?m)^name = ".*"$', f'name = "{name}"', text, count=1)
    return re.sub(rf"(?m)^{without} = \{{.*\n", "", renamed)
