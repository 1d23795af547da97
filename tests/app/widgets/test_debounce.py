import asyncio

from workbench.app.widgets import debounce as rest


def test_without_a_loop_it_is_done_at_once():
    done = []
    later = rest.Later(lambda: done.append(1))
    later()
    later({"new": 1})
    assert done == [1, 1]


def test_in_a_loop_it_is_done_once_after_the_last_time_that_it_was_asked_for(monkeypatch):
    monkeypatch.setattr(rest, "REST", 0.05)
    done = []

    async def hand():
        later = rest.Later(lambda: done.append(1))
        for _ in range(5):
            later()
            await asyncio.sleep(0)
        assert done == []
        await asyncio.sleep(0.3)
        assert done == [1]
        later()
        await asyncio.sleep(0.3)

    asyncio.run(hand())
    assert done == [1, 1]
