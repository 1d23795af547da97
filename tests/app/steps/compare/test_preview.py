"""One picture in both networks: it follows the plan, the picked layer and the picture."""

import asyncio
import threading
import time
from dataclasses import replace
from functools import partial

import ipywidgets as w
import pytest
import torch
from torch import nn

import workbench as wb
from tests.app import conftest
from tests.app.conftest import small_session
from tests.helpers.networks import decomposed
from tests.helpers.pictures import picture
from tests.helpers.sessions import batch_normed, idle, tiny_data, unlabelled_data
from tests.helpers.widgets import find
from workbench.app.network_view import maps_html, preview_html, preview_view
from workbench.app.session import Session
from workbench.app.steps.compare import preview as module
from workbench.app.worker import JobKind, JobState
from workbench.inspect.preview import Preview, preview
from workbench.network.outputs import MAX_SNR_DB


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "DELAY_S", 0.01)


@pytest.fixture
def watched(session):
    session.preview.watch(True)
    return session


def same_answers(found, network, images):
    with torch.inference_mode():
        shares = network.run(network.inputs(images))[0].double().softmax(0)
    return all(float(shares[a.label]) == pytest.approx(a.probability, abs=1e-5) for a in found.compressed)


def change(session: Session, rank: int = 1) -> None:
    session.plan.choose_ranks("3", rank_in=rank, rank_out=rank)


def test_it_follows_what_the_user_does(session):
    preview, plan, test = session.preview, session.plan, session.choose.data.test
    network, images = session.choose.network, test.images[:1]
    assert preview.found is None  # nobody looks
    preview.watch(True)
    first = preview.found
    assert preview.stage == "planned"
    assert same_answers(first, wb.decompose(network, plan.plan), images)

    change(session)
    assert preview.found is not first
    assert same_answers(preview.found, wb.decompose(network, plan.plan), images)
    assert set(preview._factors) >= {("3", 1, 1)}

    session.look.pick("0")
    assert preview.found.layer == "0"
    preview.step(-1)
    assert preview.index == len(test) - 1
    assert preview.found.name == str(int(test.labels[-1]))

    session.recover.decompose()
    session.recover.calibrate()
    assert preview.stage == "calibrated"
    made = preview.found
    assert same_answers(made, session.recover.compressed, test.images[-1:])

    preview.watch(False)
    change(session, 4)
    assert preview.found is made


def test_pictures_whose_answer_changed_come_one_after_the_other(watched):
    preview, plan, test = watched.preview, watched.plan, watched.choose.data.test
    plan.choose_ranks("0", rank_out=1)
    change(watched)
    network = watched.choose.network
    small = wb.decompose(network, plan.plan)
    answers = [n.run(n.inputs(test.images)).argmax(1) for n in (network, small)]
    changed = (answers[0] != answers[1]).nonzero().flatten().tolist()
    assert changed  # else the test shows nothing
    shown = []
    for _ in range(min(len(changed), module.FLIPPED_IMAGES)):
        preview.next_changed()
        assert preview.found.changed
        shown.append(preview.index)
    assert sorted(shown) == sorted({picture.index for picture in preview.flipped})
    assert set(shown) <= set(changed)

    # Those of the planned network are not those of the recovered one, nor of another plan.
    for act, stage in ((watched.recover.decompose, "decomposed"), (watched.recover.calibrate, "calibrated")):
        act()
        assert (preview.flipped, preview.words, preview.stage) == ((), "", stage)
        preview.next_changed()
        assert preview.flipped or stage == "calibrated"
    plan.reset()
    assert (preview.flipped, preview.words) == ((), "")


def test_a_picture_of_the_users(watched, tmp_path):
    preview, file = watched.preview, picture(tmp_path / "mine.png", (200, 200, 200))
    preview.bring(file, "mine.png")
    assert (preview.found.name, preview.found.original[0].right) == ("", None)
    assert preview.found.image.shape == (8, 8, 3)
    assert (preview.found.image == 200).all()
    preview.step(1)
    assert preview.brought is None
    file.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"^broken\.png is not a valid image"):  # the name on the disk is ours
        preview.bring(file, "broken.png")


def test_random_weights_give_no_preview(digits):
    digits.preview.watch(True)
    assert digits.preview.found is not None
    digits.choose.open(weights="random")
    assert digits.preview.found is None


def test_factors_of_a_network_that_is_no_longer_open_are_not_kept(watched, monkeypatch):
    preview, choose = watched.preview, watched.choose

    def another_is_opened(*args, **kwargs):
        preview.watch(False)
        choose._set_opened(replace(choose.opened, network=choose.network.with_model(batch_normed())))

    monkeypatch.setattr(module, "preview", another_is_opened)
    assert preview._factors
    change(watched)
    assert preview._factors == {}


def test_a_large_network_is_shown_once_it_is_decomposed(watched, monkeypatch):
    preview = watched.preview
    monkeypatch.setattr(module, "MAX_DECOMPOSED_MACS", 1e3)
    monkeypatch.setattr(module, "decompose", None)
    change(watched)
    assert (preview.found, preview.problem) == (None, module.TOO_LARGE)
    watched.recover.decompose()
    assert preview.found.original
    assert (preview.stage, preview.problem) == ("decomposed", "")


async def seen(session: Session) -> Preview | None:
    await idle(session)
    await asyncio.sleep(5 * module.DELAY_S)
    await idle(session)
    return session.preview.found


async def watched_from_the_start() -> Session:
    session = small_session()
    session.preview.watch(True)
    session.choose.open()
    await seen(session)
    return session


on_a_loop = partial(conftest.on_a_loop, begin=watched_from_the_start)


def busy(session: Session) -> threading.Event:
    """Let another job run until the event is set."""
    gate = threading.Event()
    session.worker.submit(JobKind.SPEED, "Timing", lambda job: gate.wait(20))
    return gate


@pytest.fixture
def slowly(monkeypatch):
    """Decompositions that take longer than the time after which a change is followed."""
    decompose = module.decompose

    def slow(*args, **kwargs):
        time.sleep(10 * module.DELAY_S)
        return decompose(*args, **kwargs)

    monkeypatch.setattr(module, "decompose", slow)


@pytest.mark.usefixtures("slowly")
@on_a_loop
async def test_a_step_that_is_left_and_shown_again_keeps_what_is_being_computed(session):
    before = session.preview.found
    assert (before is not None, session.preview.current) == (True, True)  # though it was being watched while it opened
    change(session)
    await asyncio.sleep(2 * module.DELAY_S)
    job = session.preview._job
    assert job.active
    session.preview.watch(False)
    session.preview.watch(True)
    assert (await seen(session)) is not before
    assert session.preview._job is job
    assert session.preview.current


@on_a_loop
async def test_a_preview_is_not_current_until_it_is_that_of_the_plan_and_a_cancelled_one_is_tried_again(session):
    preview, before = session.preview, session.preview.found
    assert preview.current
    gate = busy(session)
    change(session)
    assert (preview.current, preview.found) == (False, before)
    assert "aria-busy" in preview_html(before, preview.stage, current=preview.current)
    await asyncio.sleep(2 * module.DELAY_S)
    preview._job.cancel()
    gate.set()
    assert (await seen(session), preview.current) == (before, False)
    preview.watch(False)
    preview.watch(True)
    assert (await seen(session)) is not before
    assert preview.current


@on_a_loop
async def test_a_picture_that_cannot_be_read_says_why_and_the_next_one_is_shown(session):
    preview, main, threads = session.preview, threading.get_ident(), []
    test = session.choose.data.test

    class Images:
        shape, dtype = test.images.shape, test.images.dtype

        def __len__(self):
            return len(test)

        def __getitem__(self, place):
            threads.append(threading.get_ident())
            if place.tolist() == [1]:
                raise FileNotFoundError(2, "No such file or directory", "/pictures/1.png")
            return test.images[place]

    session.choose.data.__dict__["test"] = wb.Split(Images(), test.labels, "test")
    preview.words = "what the search has found"
    preview.step(1)
    assert (await seen(session), preview.current) == (None, True)
    assert preview.problem == "1.png: No such file or directory."
    preview.step(1)
    assert await seen(session) is not None
    assert (preview.problem, preview.words) == ("", "what the search has found")
    assert main not in threads


@on_a_loop
async def test_one_search_at_a_time_which_ends_with_its_plan(session):
    preview, gate = session.preview, busy(session)
    first = preview.next_changed()
    assert preview.next_changed() is first
    assert sum(job.kind is JobKind.PREVIEW for job in session.worker.jobs) == 1
    change(session)
    assert first.state is JobState.CANCELLED
    second = preview.next_changed()
    assert second is not first
    gate.set()
    await seen(session)
    assert second.state is JobState.DONE


def test_what_a_layer_without_maps_gives():
    torch.manual_seed(0)
    tokens = nn.Sequential(nn.Conv2d(1, 16, 4, 4), nn.Flatten(2), nn.Linear(4, 3), nn.Flatten(), nn.Linear(48, 3))
    network = wb.Network(tokens, (1, 8, 8), "tokens")
    one = wb.Split(tiny_data().test.images[:1], torch.tensor([0]), "one")
    small = decomposed(network, {"0": (None, 1)})
    shown = preview(small, one, layer="2")
    assert shown.maps is None
    assert f"{shown.snr_db:.0f} dB" in maps_html(shown, "planned")
    shown = preview(wb.decompose(network, small.plan.keep("0")), one, layer="0")
    assert shown.snr_db == MAX_SNR_DB
    assert "dB" not in maps_html(shown, "planned")


@pytest.mark.parametrize(("classes", "disabled"), [(3, False), (1, True)])
def test_other_answers_are_looked_for_where_there_are_answers(classes, disabled):
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, classes))
    session = small_session(model, unlabelled_data(), opened=True)
    view = preview_view(session)
    session.preview.watch(True)
    assert session.preview.found is not None
    assert find(view, w.Button, "Other answer").disabled == disabled
