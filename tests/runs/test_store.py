import csv
import io
import os
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

import workbench as wb
from tests.helpers.networks import same, small, small_compressed
from workbench.runs.run import Run, Runs, Stage, StageName, pareto
from workbench.runs.store import RunStore, StoreError

SCORE = wb.Score(0.9, 0.99, 100)
DECOMPOSED = Stage(StageName.DECOMPOSED, {"validation": SCORE})


@pytest.fixture(scope="module")
def compressed():
    return small_compressed()


@pytest.fixture
def original():
    return small()


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs.db", wait=0.2)


def run_of(compressed, data="digits", stages=(DECOMPOSED,), **more):
    return Run.of(compressed, data, stages, **more)


def test_what_is_stored_comes_back(store, compressed, original):
    agreed = Stage(StageName.FINE_TUNED, {"test": wb.Score(0.91, 0.98, 50, "agreement")}, "by hand")
    stages = (DECOMPOSED, Stage(StageName.CALIBRATED), agreed)
    more = {"settings": {"epochs": 3, "flip": True}, "measured": {"ms": 1.5}, "seed": 4, "note": "first"}
    more["tries"] = ("try 1: MACs x3 fewer, taken back", "try 2: MACs x2 fewer, kept")
    added = store.add(run_of(compressed, stages=stages, **more))
    (found,) = RunStore(store.path).runs()
    assert found == added == store[1]
    assert (added.network, found.network) == (compressed, None)
    assert (found.number, found.network_name, found.data_name) == (1, "small", "digits")
    assert found.stages == stages
    assert {name: getattr(found, name) for name in more} == more
    assert found.plan.to_json() == compressed.plan.to_json()
    assert found.versions["torch"] == torch.__version__
    again = store.load(added, original)
    assert same(again.model.state_dict(), compressed.model.state_dict())
    assert again.fitted
    assert "run 1" in str(added)


def test_update_adds_stages_and_newer_weights(store, compressed, original):
    run = store.add(run_of(compressed, measured={"ms": 1}, settings={"planner": "evbmf"}))
    trained = wb.rebuild(original, compressed.plan, {k: v + 1 for k, v in compressed.model.state_dict().items()})
    run = run.with_stage(Stage(StageName.DECOMPOSED, {"validation": wb.Score(0.5, 0.6, 10)}))
    run = run.with_stage(Stage(StageName.FINE_TUNED, {"validation": SCORE}, "better"), trained)
    updated = store.update(replace(run, measured={"joules": 2}, settings={"epochs": 3}, tries=("try 1: kept",)))
    assert store[updated.number].settings == {"planner": "evbmf", "epochs": 3}
    assert [(s.name, s.score.top1) for s in updated.stages] == [("decomposed", 0.5), ("fine-tuned", 0.9)]
    assert (updated.measured, updated.note) == ({"ms": 1, "joules": 2}, "better")
    assert store[updated.number].tries == ("try 1: kept",)
    assert ["try 1", "kept"] in updated.rows
    assert (updated.score(), updated.last.name, updated.network) == (SCORE, "fine-tuned", trained)
    assert len(list(store.folder.iterdir())) == 1
    state = store.load(run, original).model.state_dict()
    assert all(torch.equal(state[k], v + 1) for k, v in compressed.model.state_dict().items())
    baseline = updated.with_stage(Stage(StageName.FROM_SCRATCH, {"validation": wb.Score(1.0, 1.0, 10)}))
    assert store.update(baseline, weights=False).score() == SCORE  # another network's score
    assert same(store.load(run, original).model.state_dict(), state)


def test_stages_keep_their_order_when_only_the_rest_of_a_run_changes(store, compressed):
    names = (StageName.ORIGINAL, StageName.DECOMPOSED, StageName.CALIBRATED, StageName.FINE_TUNED)
    stages = tuple(Stage(name, dict.fromkeys(("validation", "test"), SCORE)) for name in names)
    run = store.add(run_of(compressed, stages=stages))
    store.update(replace(run, tries=("try 1: kept",)), weights=False)
    assert tuple(stage.name for stage in store[run.number].stages) == names


def test_delete_takes_the_weights_too(store, compressed):
    first, second = (store.add(run_of(compressed)) for _ in range(2))
    store.delete(first)
    assert [run.number for run in store.runs()] == [second.number]
    assert [p.name for p in store.folder.iterdir()] == [second.weights_file]
    with pytest.raises(StoreError, match=r"there is no run 1 in runs\.db"):
        store.delete(1)
    with pytest.raises(StoreError, match="there is no run None"):
        store.delete(None)
    assert store.add(run_of(compressed)).number == 3  # a number is never used again


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE run SET plan = '{' WHERE number = 1",
        "UPDATE run SET settings = 5 WHERE number = 1",
        "UPDATE stage SET name = 'melted' WHERE run = 1",
    ],
)
def test_a_damaged_run_hides_no_other_and_can_be_deleted(store, compressed, damage, caplog):
    _, sound = (store.add(run_of(compressed)) for _ in range(2))
    with store._database.writing() as database:
        database.execute(damage)
    assert [run.number for run in store.runs()] == [2]
    assert "run 1 in runs.db is damaged" in caplog.text
    with pytest.raises(StoreError, match=r"run 1 in runs\.db is damaged"):
        store[1]
    store.delete(1)
    assert len(store) == 1
    assert [path.name for path in store.folder.iterdir()] == [sound.weights_file]


@pytest.mark.parametrize("named", ["{}/precious", "../precious"])
def test_no_file_out_of_the_stores_folder_is_deleted(store, compressed, tmp_path, named):
    (tmp_path / "precious").write_text("")
    run, _ = (store.add(run_of(compressed)) for _ in range(2))
    with store._database.writing() as database:
        database.execute("UPDATE run SET weights_file = ?", (named.format(tmp_path),))
    assert store[1].weights_file == "precious"
    store.update(run)
    store.delete(2)
    assert (tmp_path / "precious").exists()


def test_what_cannot_be_stored_or_loaded(store, compressed, original):
    with pytest.raises(StoreError, match="the settings of a run are JSON values, these are not"):
        store.add(run_of(compressed, settings={"device": torch.device("cpu")}))
    assert (len(store), store.folder.exists()) == (0, False)
    run, bare = store.add(run_of(compressed)), store.add(run_of(compressed), weights=False)
    with pytest.raises(StoreError, match="the settings of a run are JSON values"):
        store.update(replace(run, settings={"device": torch.device("cpu")}))
    assert [path.name for path in store.folder.iterdir()] == [run.weights_file]
    other = wb.Network(torch.nn.Conv2d(3, 8, 3), (3, 8, 8), name="other")
    path = store.folder / run.weights_file
    for stored, network, change, message in (
        (bare, original, None, "run 2 was stored without weights"),
        (run, other, None, "run 1 cannot be loaded into other: the plan has a layer 0"),
        (run, original, lambda: path.write_bytes(path.read_bytes()[:-1] + b"\1"), "weights of run 1, .* are damaged"),
        (run, original, path.unlink, "the weights of run 1, .* are no longer in"),
    ):
        if change:
            change()
        with pytest.raises(StoreError, match=message):
            store.load(stored, network)


def made(plan, macs, top1, split="validation", network="n"):
    """A run of a given cost, without a store."""
    layers = (replace(plan.layers[0], decision="keep", rank_in=None, rank_out=None),)
    plan = replace(plan, layers=layers, other=replace(plan.other, macs=macs))
    stage = Stage(StageName.DECOMPOSED, {split: wb.Score(top1, 1.0, 1000)})
    return Run(plan, (stage,), network_name=network, data_name="d")


def test_the_front_by_its_definition(compressed):
    chance = random.Random(0)  # noqa: S311
    runs = [made(compressed.plan, chance.randrange(30), chance.randrange(60, 90) / 100) for _ in range(40)]

    def beats(a, b):
        x, y = ((r.plan.macs, -r.score().top1) for r in (a, b))
        return x != y and x[0] <= y[0] and x[1] <= y[1]

    expected = {(r.plan.macs, r.score().top1) for r in runs if not any(beats(other, r) for other in runs)}
    front = pareto(runs)
    assert isinstance(front, Runs)
    assert [(r.plan.macs, r.score().top1) for r in front] == sorted(expected)
    cheap, good = made(compressed.plan, 1, 0.9), made(compressed.plan, 9, 0.8)  # only what can be compared competes
    other = replace(good, network_name="other")
    assert pareto([cheap, good, other, made(compressed.plan, 0, 0.9, "test")]) == (cheap, other)


def test_csv_has_a_line_for_each_run(store, compressed):
    store.add(run_of(compressed, settings={"epochs": 1}, note="=1+1,b"))
    kept = wb.decompose(small(), compressed.plan.keep("2"))
    store.add(run_of(kept, stages=()))
    first, second = csv.DictReader(io.StringIO(store.runs().to_csv()))
    assert (first["run"], first["decomposed validation top1"], first["note"]) == ("1", "0.9", "'=1+1,b")
    assert (second["macs"], second["decomposed validation top1"]) == (str(kept.plan.macs), "")


def test_damaged_stores_are_refused_and_left_as_they_are(store, compressed):
    for _ in range(3):
        store.add(run_of(compressed))
    sound, page = store.path.read_bytes(), 4096
    middle = sound[:page] + os.urandom(page) + sound[2 * page :]
    first = sound[:100] + bytes(page - 100) + sound[page:]
    for damaged in (b"", b"nonsense", sound[:50], sound[:page], sound[: 2 * page], middle, first):
        store.path.write_bytes(damaged)
        for suffix in ("-wal", "-shm"):
            Path(f"{store.path}{suffix}").unlink(missing_ok=True)
        with pytest.raises(StoreError, match=r"runs\.db (is|cannot)"):
            RunStore(store.path)
        assert store.path.read_bytes() == damaged
    store.path.write_bytes(sound)
    assert len(RunStore(store.path)) == 3


def test_a_locked_store_waits_and_then_says_so(store, compressed):
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"being written by another program for more than 0\.2 s"):
        store.add(run_of(compressed))
    assert list(store.folder.iterdir()) == []
    assert len(store) == 0  # reading does not wait
    waiting_store = RunStore(store.path, wait=30)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(waiting_store.add, run_of(compressed))
        time.sleep(0.1)
        assert not waiting.done()
        other.execute("ROLLBACK")
        assert waiting.result().number == 1
    other.close()


@pytest.mark.parametrize(
    ("mode", "pragma", "message"),
    [
        ("ro", "foreign_keys = 1", r"runs\.db is read-only, so nothing was stored"),
        ("rw", "max_page_count = 1", r"the disk of runs\.db is full, so nothing was stored"),
    ],
)
def test_a_read_only_store_and_a_full_disk(store, compressed, monkeypatch, mode, pragma, message):
    store.add(run_of(compressed))
    before, connect = set(store.folder.iterdir()), store._database._connect

    def connected(asked):
        connection = connect("ro" if mode == "ro" else asked)
        connection.execute(f"PRAGMA {pragma}")
        return connection

    monkeypatch.setattr(store._database, "_connect", connected)
    with pytest.raises(StoreError, match=message):
        store.add(run_of(compressed, "x" * 40000))
    monkeypatch.undo()
    assert len(store) == 1
    assert set(store.folder.iterdir()) == before


def writers(path, compressed, processes, runs):
    """Processes that make one store, add runs, and say each one's number when it is stored; and what they say."""
    reading, writing = os.pipe()

    def work():
        for _ in range(runs):
            os.write(writing, f"{RunStore(path, wait=30).add(run_of(compressed)).number}\n".encode())

    found = [get_context("fork").Process(target=work) for _ in range(processes)]
    for process in found:
        process.start()
    os.close(writing)
    return found, os.fdopen(reading)


def test_several_processes_at_once(tmp_path, compressed):
    path = tmp_path / "together.db"
    processes, said = writers(path, compressed, 4, 5)
    with said:
        numbers = sorted(map(int, said))
    store = RunStore(path)
    assert numbers == list(range(1, 21)) == [run.number for run in store.runs()]
    assert {p.name for p in store.folder.iterdir()} == {run.weights_file for run in store.runs()}
    for process in processes:
        process.join()
        assert process.exitcode == 0


def test_killed_while_writing_it_loses_nothing_that_it_said_was_stored(tmp_path, compressed, original):
    path = tmp_path / "killed.db"
    processes, said = writers(path, compressed, 2, 10000)
    with said:
        numbers = [int(next(said)) for _ in range(6)]
        for process in processes:
            process.kill()
        numbers += map(int, said)
    store = RunStore(path)
    stored = {run.number: run for run in store.runs()}
    assert stored.keys() >= set(numbers)
    for run in stored.values():
        assert run.score() == SCORE
        assert store.load(run, original).plan == run.plan
    assert not list(tmp_path.glob("*.tmp"))
    assert store.add(run_of(store.load(numbers[0], original))).number > max(stored)
