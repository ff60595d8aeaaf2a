"""The triggerer's look at the alias: one event per difference, told again only after a while, and no event for an outage."""

import asyncio

import pytest
from retraining import edge, triggers


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ([None, "on 2", "on 2", "on 3", None, "on 3"], ["on 2", "on 3", "on 3"]),
        ([None, None], []),
    ],
    ids=["differences", "none"],
)
def test_a_difference_is_told_once(looks, told, monkeypatch):
    left = list(looks)

    def look(problem):
        assert problem == "flights"
        return left.pop(0)

    async def events():
        found = []
        async for event in triggers.AliasTrigger("flights", seconds=0).run():
            found.append(event.payload["found"])
            if len(found) == len(told):
                return found
        return found

    monkeypatch.setattr(edge, "alias_by_hand", look)
    if told:
        assert asyncio.run(events()) == told
    else:
        with pytest.raises(IndexError):
            asyncio.run(events())  # every look was made, none was told


def test_a_difference_that_stays_is_told_again_after_a_while(monkeypatch):
    monkeypatch.setattr(edge, "alias_by_hand", lambda problem: "on 2")
    monkeypatch.setattr(triggers, "AGAIN_S", -1.0)

    async def two():
        running = triggers.AliasTrigger("flights", seconds=0).run()
        return [(await anext(running)).payload["found"] for _ in range(2)]

    assert asyncio.run(two()) == ["on 2", "on 2"]


def test_an_outage_is_logged_and_no_event(monkeypatch, caplog):
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    assert edge.alias_by_hand("flights") is None
    assert "TransientError" in caplog.text


def test_the_triggerer_can_make_it_anew():
    path, arguments = triggers.AliasTrigger("flights", seconds=5).serialize()
    assert path == "retraining.triggers.AliasTrigger"
    assert triggers.AliasTrigger(**arguments).serialize() == (path, arguments)
