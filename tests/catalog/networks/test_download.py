"""Downloads from a server on this machine: whole or not at all, and a sentence if there is no network."""

import gzip
import hashlib
import io
import pickle
import threading
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import workbench as wb
from tests.helpers.pictures import md5, tar
from tests.helpers.progress import Told, cancel
from workbench.catalog.networks import download
from workbench.catalog.networks.checkpoints import WeightsError
from workbench.catalog.networks.download import DownloadError, fetch
from workbench.catalog.networks.torchvision import torchvision

CONTENT = bytes(range(256)) * 4000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        if not self.path.startswith("/endless"):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.path.startswith("/half") else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.files, running.asked = {"/a.bin": CONTENT, "/half.bin": CONTENT, "/endless.bin": CONTENT}, []
        running.url = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def closed():
    """An address at which nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as unused:
        return f"http://127.0.0.1:{unused.server_address[1]}"


def test_a_file_comes_whole_with_progress(server, tmp_path):
    told, target = Told(), tmp_path / "deep" / "a.bin"
    assert fetch(f"{server.url}/a.bin", target, checksum=SHA[:8], progress=told) == target
    assert target.read_bytes() == CONTENT
    assert told[-1][0] == 1
    assert len(told) > 3
    assert told[0][1].startswith("downloading a.bin: ")
    assert told[-1][1].endswith(" of 1.02 MB")
    assert list(target.parent.iterdir()) == [target]
    assert fetch(f"{server.url}/endless.bin", tmp_path / "a", checksum=SHA).read_bytes() == CONTENT  # without a length


@pytest.mark.parametrize("before", [None, b"what was there"])
@pytest.mark.parametrize(
    ("path", "checksum", "message"),
    [
        ("/none.bin", "", "file.bin cannot be downloaded: its server answers 404"),
        ("/half.bin", "", "file.bin broke off after 262 kB"),
        ("/a.bin", "00000000", f"file.bin is damaged or another file: its sha256 is {SHA[:12]}"),
    ],
)
def test_half_a_file_is_no_file(server, tmp_path, path, checksum, message, before):
    target = tmp_path / "file.bin"
    if before:
        target.write_bytes(before)
    with pytest.raises(DownloadError, match=message):
        fetch(server.url + path, target, checksum=checksum)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([before] if before else [])


def test_what_is_too_large_or_cancelled_leaves_nothing(server, tmp_path, monkeypatch):
    with pytest.raises(wb.Cancelled):
        fetch(f"{server.url}/a.bin", tmp_path / "a.bin", progress=cancel)
    monkeypatch.setattr(download, "MAX_DOWNLOAD_BYTES", 500_000)
    for name in ("a", "endless"):
        with pytest.raises(DownloadError, match=r"a.bin is larger than 500 kB"):
            fetch(f"{server.url}/{name}.bin", tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_no_network_and_no_address(tmp_path):
    with pytest.raises(DownloadError, match=r"a.bin cannot be downloaded: its server is not reached from here"):
        fetch(f"{closed()}/a.bin", tmp_path / "a.bin")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot be written to"):
        fetch("http://127.0.0.1/a", tmp_path / "file" / "a.bin")


@pytest.fixture
def pretrained(server, tmp_path, monkeypatch):
    """torchvision's SqueezeNet "pretrained" on the server, and a place for it on this machine."""
    state = wb.load_network("squeezenet1_1").model.state_dict()
    content = io.BytesIO()
    torch.save(OrderedDict((k, v + 1) for k, v in state.items()), content)
    name = f"squeeze-{hashlib.sha256(content.getvalue()).hexdigest()[:8]}.pth"
    server.files[f"/{name}"] = content.getvalue()
    found = SimpleNamespace(DEFAULT=SimpleNamespace(url=f"{server.url}/{name}"))
    monkeypatch.setattr(torchvision("models"), "get_model_weights", lambda _: found)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return SimpleNamespace(path=tmp_path / "hub" / "checkpoints" / name, state=state, source=found.DEFAULT)


def test_pretrained_weights_are_fetched_once(server, pretrained):
    told = Told()
    network = wb.load_network("squeezenet1_1", weights="pretrained", progress=told)
    assert all(torch.equal(v, pretrained.state[k] + 1) for k, v in network.model.state_dict().items())
    assert not network.random_weights
    assert told[-1][0] == 1
    wb.load_network("squeezenet1_1", weights="pretrained")
    assert len(server.asked) == 1
    pretrained.path.write_bytes(server.files[f"/{pretrained.path.name}"][:5000])  # half a file that something left
    wb.load_network("squeezenet1_1", weights="pretrained")
    assert len(server.asked) == 2
    assert pretrained.path.read_bytes() == server.files[f"/{pretrained.path.name}"]


def test_pretrained_weights_without_a_network(pretrained):
    pretrained.source.url = f"{closed()}/{pretrained.path.name}"
    with pytest.raises(WeightsError, match="the weights of squeezenet1_1 cannot be downloaded now") as caught:
        wb.load_network("squeezenet1_1", weights="pretrained")
    assert f"get {pretrained.source.url} and put it into {pretrained.path.parent}" in str(caught.value)
    assert "\n" not in str(caught.value)


IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), np.uint8)


@pytest.fixture
def cifar(server, monkeypatch):
    """CIFAR-100 in small on the server, with the checksums that its class compares."""
    pixels = np.tile(IMAGES.reshape(20, -1), (5, 1))
    pixels[:, 0] = range(100)  # the first pixel is the number of the image
    train, test = {"data": pixels, "fine_labels": [n % 10 for n in range(100)]}, IMAGES.reshape(20, -1)
    contents = {"train": train, "test": {"data": test, "fine_labels": [0] * 20}}
    contents["meta"] = {"fine_label_names": list("abcdefghij")}
    inner = {name: pickle.dumps(content) for name, content in contents.items()}
    archive = tar({f"cifar-100-python/{name}": data for name, data in inner.items()})
    kind = torchvision("datasets").CIFAR100
    server.files["/cifar-100-python.tar.gz"] = archive
    monkeypatch.setattr(kind, "url", f"{server.url}/cifar-100-python.tar.gz")
    monkeypatch.setattr(kind, "tgz_md5", md5(archive))
    monkeypatch.setattr(kind, "train_list", [["train", md5(inner["train"])]])
    monkeypatch.setattr(kind, "test_list", [["test", md5(inner["test"])]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(inner["meta"])})
    monkeypatch.setattr("workbench.catalog.datasets.torchvision.VALIDATION_IMAGES", 10)
    return kind


def test_cifar_is_fetched_once_and_unpacked(server, cifar, tmp_path):
    told = Told()
    data = wb.load_data("cifar100", root=tmp_path, download=True, progress=told)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [90, 10, 20]
    assert torch.equal(data.test.images, torch.from_numpy(IMAGES))
    assert data.classes == tuple("abcdefghij")
    held, kept = (split.images[:, 0, 0, 0] for split in (data.validation, data.train))
    assert sorted(torch.cat([held, kept]).tolist()) == list(range(100))  # nothing twice, nothing lost
    assert torch.equal(kept % 10, data.train.labels)
    assert told[-1][0] == 1
    assert "cifar-100-python.tar.gz" in told[-1][1]
    for root in (tmp_path, tmp_path / "cifar-100-python"):  # the inner folder will do
        assert torch.equal(wb.load_data("cifar100", root=root, download=True).validation.images[:, 0, 0, 0], held)
    assert len(server.asked) == 1
    # An archive that somebody put there is used, too.
    (tmp_path / "other").mkdir()
    (tmp_path / "cifar-100-python.tar.gz").rename(tmp_path / "other" / "cifar-100-python.tar.gz")
    assert len(wb.load_data("cifar100", root=tmp_path / "other", download=True).test) == 20
    assert len(server.asked) == 1


def test_foreign_batches_are_not_unpickled(cifar, tmp_path):
    wb.load_data("cifar100", root=tmp_path, download=True)
    (tmp_path / "cifar-100-python" / "test").write_bytes(pickle.dumps({"data": 0}))
    with pytest.raises(ValueError, match=r"cifar100 is not in .*corrupted"):
        wb.load_data("cifar100", root=tmp_path)
    assert len(wb.load_data("cifar100", root=tmp_path, download=True).test) == 20  # unpacked again


def test_no_network_says_what_to_get_and_where_to_put_it_and_leaves_nothing(cifar, tmp_path, monkeypatch):
    with pytest.raises(wb.Cancelled):
        wb.load_data("cifar100", root=tmp_path, download=True, progress=cancel)
    monkeypatch.setattr(cifar, "url", f"{closed()}/cifar-100-python.tar.gz")
    with pytest.raises(ValueError, match="cifar100 cannot be downloaded now") as caught:
        wb.load_data("cifar100", root=tmp_path, download=True)
    assert str(caught.value).endswith(f"get {cifar.url} and put it into {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def idx(array):
    shape = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


def test_mnist_is_unpacked_whole(server, tmp_path, monkeypatch):
    images, labels = IMAGES[:, 0], np.arange(20, dtype=np.uint8) % 10
    files = {
        f"{part}-{what}-ubyte.gz": gzip.compress(idx(array))
        for part in ("train", "t10k")
        for what, array in (("images-idx3", images), ("labels-idx1", labels))
    }
    server.files |= {f"/{name}": content for name, content in files.items()}
    kind = torchvision("datasets").MNIST
    monkeypatch.setattr(kind, "mirrors", [f"{server.url}/"])
    monkeypatch.setattr(kind, "resources", [(name, md5(content)) for name, content in files.items()])
    monkeypatch.setattr("workbench.catalog.datasets.torchvision.VALIDATION_IMAGES", 5)
    data = wb.load_data("mnist", root=tmp_path, download=True, progress=Told())
    assert torch.equal(data.test.images[:, 0], torch.from_numpy(images))
    assert [len(s) for s in (data.train, data.validation, data.test)] == [15, 5, 20]
    raw = tmp_path / "MNIST" / "raw"
    whole = (raw / "t10k-images-idx3-ubyte").read_bytes()
    (raw / "t10k-images-idx3-ubyte").write_bytes(whole[:1000])  # as if unpacking had been interrupted
    with pytest.raises(ValueError, match="mnist is not in"):
        wb.load_data("mnist", root=tmp_path)
    assert torch.equal(wb.load_data("mnist", root=tmp_path, download=True).test.images, data.test.images)
    assert len(server.asked) == 4
