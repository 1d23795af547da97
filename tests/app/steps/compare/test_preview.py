"""One picture in both networks, on a running event loop: it follows the plan, the picked layer and the picture."""

import asyncio
from pathlib import Path

import pytest
import torch
from PIL import Image

import workbench as wb
from tests.helpers.sessions import batch_normed, idle, tiny_data
from workbench.app.session import Session
from workbench.app.steps.compare import preview as module


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "DELAY_S", 0.01)


async def begun(model=None) -> Session:
    session = Session(wb.Network(model or batch_normed(), (1, 8, 8), "tiny"), tiny_data())
    session.open()
    await idle(session)
    return session


async def seen(session: Session) -> module.Preview:
    await asyncio.sleep(0.05)
    await idle(session)
    return session.preview.found


def logits(network, images):
    with torch.inference_mode():
        return network.run(network.inputs(images))[0].double().softmax(0)


def same_answers(found, network, images):
    shares = logits(network, images)
    return all(float(shares[a.label]) == pytest.approx(a.probability, abs=1e-5) for a in found.compressed)


def test_it_follows_what_the_user_does():
    async def journey():
        session = await begun()
        preview, plan = session.preview, session.plan
        assert await seen(session) is None  # nobody looks
        preview.active = True
        first = await seen(session)
        test = session.choose.data.test
        network, images = session.choose.network, test.images[:1]
        assert preview.stage == "planned"
        assert same_answers(first, wb.decompose(network, plan.plan), images)

        plan.choose_ranks("3", rank_in=1, rank_out=1)
        moved = await seen(session)
        assert moved is not first
        assert same_answers(moved, wb.decompose(network, plan.plan), images)
        assert set(preview._known) >= {("3", 1, 1)}

        session.look.pick("0")
        assert (await seen(session)).layer == "0"
        preview.step(-1)
        assert preview.index == len(test) - 1
        assert (await seen(session)).name == str(int(test.labels[-1]))

        session.recover.decompose()
        await idle(session)
        session.recover.calibrate()
        made = await seen(session)
        assert preview.stage == "calibrated"
        assert same_answers(made, session.recover.compressed, test.images[-1:])

        preview.active = False
        plan.choose_ranks("3", rank_in=4, rank_out=4)
        assert await seen(session) is made

    asyncio.run(journey())


def test_pictures_whose_answer_changed_come_one_after_the_other():
    async def journey():
        session = await begun()
        preview, plan = session.preview, session.plan
        preview.active = True
        for layer in ("0", "3"):
            plan.choose_ranks(layer, rank_out=1, **({"rank_in": 1} if layer == "3" else {}))
        await seen(session)
        network, test = session.choose.network, session.choose.data.test
        small = wb.decompose(network, plan.plan)
        answers = [n.run(n.inputs(test.images)).argmax(1) for n in (network, small)]
        changed = (answers[0] != answers[1]).nonzero().flatten().tolist()
        assert changed  # else the test shows nothing
        shown = []
        for _ in range(min(len(changed), module.FLIPPED_IMAGES)):
            preview.next_changed()
            assert (await seen(session)).changed
            shown.append(preview.index)
        assert sorted(shown) == sorted({picture.index for picture in preview.flipped})
        assert set(shown) <= set(changed)
        plan.reset()
        await seen(session)
        assert preview.flipped == ()

    asyncio.run(journey())


def test_a_picture_of_the_users(tmp_path: Path):
    file = tmp_path / "mine.png"
    Image.new("L", (40, 30), 200).save(file)

    async def journey():
        session = await begun()
        session.preview.active = True
        await seen(session)
        session.preview.bring(file, "mine.png")
        found = await seen(session)
        assert (found.name, found.original[0].right) == ("", None)
        assert found.image.shape == (8, 8, 3)
        assert (found.image == 200).all()
        session.preview.step(1)
        assert session.preview.brought is None
        (tmp_path / "broken.png").write_bytes(b"no picture")
        with pytest.raises(ValueError, match="broken"):
            session.preview.bring(tmp_path / "broken.png", "broken.png")

    asyncio.run(journey())


def test_random_weights_give_no_preview():
    async def journey():
        session = Session()
        session.preview.active = True
        session.open()
        session.choose.open(weights="random")
        await idle(session)
        assert await seen(session) is None

    asyncio.run(journey())
