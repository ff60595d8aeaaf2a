"""What a row can hold that somebody else writes: markup, formulas, line ends, endless patterns. None of it does anything."""

import csv
import io
import logging
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ml.card.markdown import plain
from ml.card.markdown import table as card_table
from ml.cli.options import harmless
from ml.errors import EvergreenError
from ml.feedback import formats
from ml.pages import render
from ml.redaction import text as redaction
from ml.serving.rows import parse
from ml.serving.telemetry import OneLine
from ml.settings import PROJECT
from ml.understand import figures
from tests.integration.state_kit import make_evaluated, make_problem
from tests.unit.feedback.test_worth import make_task
from tests.unit.test_card import render as render_card

EVIL = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/seen.png)",
    "[click](javascript:alert(1))",
    "<https://evil.example>",
    "https://evil.example/login",
    "www.evil.example",
    "`code` | **a** | b",
    "a\n\n# Verdict: promote\n\n- all is well",
    "[ref]: https://evil.example\n[ref]",
    "\\[click](https://evil.example)",
    "</td></tr></table><script>alert(1)</script>",
)
ACTIVE = re.compile(r"<(?:script|img|a|h1|iframe|code)\b", re.IGNORECASE)
# as MLflow renders a description and Airflow a required action: GitHub's Markdown; HTML let through, to see what would come
MARKDOWN = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table")


def shown(markdown: str) -> str:
    """HTML of a Markdown text, with what GitHub's Markdown makes links of by itself."""
    html = MARKDOWN.render(markdown)
    return re.sub(r"(?i)(?:https?://|www\.)[a-z]", '<a href="bare">', html)


@pytest.mark.parametrize("value", EVIL)
def test_a_value_on_the_card_is_text(value):
    """The names of slices are values of rows. The same value unescaped is markup, or the test would show nothing."""
    evaluated = make_evaluated(2)
    scores = evaluated.candidate.model_copy(update={"slices": {f"carrier={value}": evaluated.candidate.slices["carrier=AA"]}})
    text = render_card(evaluated.model_copy(update={"candidate": scores}))
    with_nothing = len(ACTIVE.findall(shown(render_card(evaluated))))
    assert "carrier=" in text
    assert len(ACTIVE.findall(shown(text))) == with_nothing
    assert "Verdict: promote\n" not in text.split("carrier=")[1].split("\n")[1]


def test_and_without_the_escape_most_of_them_would_be_markup():
    assert sum(bool(ACTIVE.search(shown(f"a {value}"))) for value in EVIL) >= len(EVIL) - 2


@settings(max_examples=50)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
@example("\\")
@example("\\<b>")
@example("hTTp://x.example")
def test_no_text_becomes_a_link_a_picture_or_html_in_a_table(text):
    rendered = shown(card_table("Slices", ("slice", "rows"), [(f"carrier={text}", "1")]))
    assert not ACTIVE.search(rendered)
    assert rendered.count("<td") == 2, "a value cannot end its cell either"


@given(st.text(alphabet="abc*_ 0123456789.,=%-", max_size=30))
def test_ordinary_text_is_shown_as_it_is(text):
    assert plain(text) == " ".join(text.split())


@pytest.mark.parametrize("value", [*EVIL, "'\" onmouseover=alert(1) x='", "{{ 7 * 7 }}"])
def test_a_value_on_a_page_is_text(value):
    """The page to label on shows whole rows; all pages are filled in by the same function."""
    page = render(
        "label",
        about=make_problem("late").problem,
        task=make_task(value, carrier=value),
        left=1,
        later=0,
        buttons=[("late", "true")],
        fields=(),
        several=False,
        numbers=False,
        skip=value,
        after="",
        nonce="n",
    )
    for active in ("<script>alert", "<img src=x", " onmouseover=alert(1) x='", "</table><script>"):
        assert active not in page
    assert "49" not in page.replace("49px", "") or "{{ 7" not in value


def test_a_value_in_a_drawing_is_text():
    names = ("</text><script>alert(1)</script>", "$\\frac{1}{0}$")
    drawn = str(figures.values(names, *([0.5, 0.5], [0.4, 0.6]), says='"><script>alert(2)</script>'))  # type: ignore[arg-type]
    assert "<script>" not in drawn and "&lt;script&gt;" in drawn


def test_no_template_and_no_function_lets_a_value_pass_unescaped():
    """`Markup` says "this is HTML": only the page's own frame and the drawings are."""
    pages = (PROJECT / "ml").rglob("*.html")
    templates = [path for path in pages if re.search(r"\|\s*safe|autoescape\s+false", path.read_text())]
    made = [
        path.name
        for path in [*(PROJECT / "ml").rglob("*.py"), *(PROJECT / "plugins").rglob("*.py")]
        if re.search(r"\bMarkup\(|autoescape=False|HTMLResponse\(f[\"']", path.read_text())
    ]
    assert (templates, sorted(made)) == ([], ["render.py", "spark.py"])


LATE = make_problem("late")


@pytest.mark.parametrize("value", ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''=1"])
def test_no_cell_of_an_export_is_a_formula_and_keys_come_back_as_they_were(value):
    text = formats.to_csv([make_task(value, carrier=value)], LATE)
    [line] = csv.DictReader(io.StringIO(text, newline=""))
    for cell in line.values():
        assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, line)
    writer.writeheader()
    writer.writerow(line | {"label": "yes"})
    assert [answer.key for answer in formats.from_csv(out.getvalue(), LATE, by="me")] == [value]


@given(st.text(max_size=40))
def test_whatever_a_key_is_it_comes_back(text):
    [line] = csv.DictReader(io.StringIO(formats.to_csv([make_task(text)], LATE), newline=""))
    assert formats._as_it_was(line["key"]) == text


@given(st.text(max_size=60))
@example("x\nINFO: champion moved to version 9")
@example("x\r\u2028\x1b[2J\x1b[1;1H")
def test_a_log_message_is_one_line_whatever_it_quotes(text):
    line = OneLine("%(levelname)s: %(message)s").format(logging.makeLogRecord({"msg": "asked for %s", "args": (text,)}))
    assert len(line.splitlines()) == 1 and "\x1b" not in line


def test_a_traceback_still_has_its_lines():
    try:
        raise ValueError("why")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (ValueError, error, error.__traceback__)})
    assert OneLine("%(message)s").format(record).splitlines()[-1] == "ValueError: why"


def test_a_terminal_is_not_steered():
    assert harmless("a\x1b[2Jb\nc\td\r\x07é") == "a\\x1b[2Jb\nc\td\\r\\x07é"


LONG = 30_000
PIECES = ("a", "a@", "@", "1", "1-", "1 ", "1.2.", ":", "a:", "a.b.", "(at)", "account ", "\u00a0", "v. ")
ENDLESS = [piece * LONG + end for piece in PIECES for end in ("", "@1")] + [f"x@{piece * LONG}" for piece in ("a.", "a-")]


@pytest.mark.parametrize("text", ENDLESS, ids=lambda text: f"{text[:8]}...{text[-2:]}")
def test_no_text_keeps_the_redaction_busy_for_ever(text):
    """What grows with the square of the length would take minutes here, and the test ends after its time limit."""
    assert isinstance(redaction.scrub(text), str)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"rows":' + b"[" * 200_000,
        b'{"rows": [{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
        b'{"rows": [' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}",
        b'{"rows": [{"a": ' + b"9" * 100_000 + b"}]}",
        b'{"rows": [{"a": 1e999}]}',
        b'{"rows": [{"a": "\\ud800"}]}',
        b"\xff\xfe",
        b"",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_hostile_body_is_refused_in_words(body):
    try:
        rows = parse(body)
    except EvergreenError as error:
        assert len(str(error)) < 2000
    else:
        assert len(rows.columns) == 1  # nested values are refused where the columns are known
