"""The form, the description of the interface, and its page."""

import json
import re

from tests.integration.protocols.kit import NEW, logged
from tests.integration.serving_kit import ROWS, score_of


def test_a_person_fills_in_the_form_and_gets_an_answer(service, client):
    page = client.get("/problems/asked/form")
    assert page.status_code == 200
    assert 'name="carrier"' in page.text
    answer = client.post("/problems/asked/form", data={"carrier": "UA", "distance": "1400"})
    assert f"{score_of(NEW, ROWS[0]):.4f}, which means yes" in answer.text
    [request_id] = re.findall(r"<code>([0-9a-f-]{36})</code>", answer.text)
    assert [json.loads(row["row"]) for row in logged(service, request_id)] == [ROWS[0]]


def test_the_form_keeps_what_was_filled_in_and_says_what_is_wrong(client):
    answer = client.post("/problems/asked/form", data={"carrier": '<b>"x', "distance": "far"})
    assert answer.status_code == 422
    assert "Row 0, column &#39;distance&#39;: expected a number" in answer.text
    assert "&lt;b&gt;&#34;x" in answer.text
    assert "<b>" + '"x' not in answer.text


def test_the_form_of_a_problem_without_a_model_says_so(client):
    assert "No model answers yet" in client.get("/problems/empty/form").text
    assert client.post("/problems/empty/form", data={"carrier": "UA"}).status_code == 503
    assert client.get("/problems/nobody/form").status_code == 404


def test_every_example_of_the_description_is_answered(client):
    described = client.get("/openapi.json").json()
    asked = set()
    for path, operations in described["paths"].items():
        examples = (
            operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
        )
        for problem, example in examples.items():
            answer = client.post(path.format(problem=problem, version=NEW), json=example["value"])
            assert answer.status_code == (202 if path.endswith("/feedback") else 200), answer.text
            asked.add(path.rpartition("/")[2].rpartition(":")[2])
    assert asked == {"predict", "infer", "feedback"}


def test_pages_load_nothing_from_elsewhere(client):
    for path in ("/docs", "/problems/asked/form"):
        page = client.get(path)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "<script" not in page.text
        assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page.text)
