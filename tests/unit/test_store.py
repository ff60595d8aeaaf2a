"""Files of a problem: whole or not at all, inside the store or nowhere; alike in a folder and on a real S3 server."""

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml import settings
from ml.errors import ConfigError, DataError, TransientError
from ml.store import Store, digest, store_of, writing
from ml.store.bucket import Bucket


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    if request.param == "folder":
        return Store(tmp_path / "store")
    return Store(f"s3://{request.getfixturevalue('bucket')}/some/prefix", tmp_path / "cache")


@pytest.fixture
def in_s3(bucket, tmp_path):
    return Store(f"s3://{bucket}/some/prefix", tmp_path / "cache")


def write_folder(store, name, **files):
    with store.replacing(name) as folder:
        (folder / "inner").mkdir(parents=True)
        for file, content in files.items():
            (folder / "inner" / file).write_text(content)


def test_json_comes_back(store):
    store.write_json("runs/a/x.json", {"n": 1})
    assert store.read_json("runs/a/x.json") == {"n": 1}
    assert store.fetch("runs/a/x.json").read_bytes() == store.read("runs/a/x.json") == b'{\n  "n": 1\n}\n'
    assert store.exists("runs/a/x.json")
    assert not store.exists("runs/a/x") and not store.exists("runs/a/x.js")


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(store):
    store.write("a/x", b"old")
    with pytest.raises(RuntimeError), store.replacing("a/x") as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert store.read("a/x") == b"old"
    assert store.names() == ["a/x"]
    home = store.cache if str(store.root).startswith("s3") else store.root / "a"
    assert os.listdir(home) in ([], ["x"])


def test_a_folder_takes_the_place_of_a_folder(store):
    for content in ("one", "two"):
        write_folder(store, "runs/a/model", same=content, **{content: content})
        folder = store.fetch("runs/a/model")
        assert folder.name == "model"
        assert sorted(os.listdir(folder / "inner")) == sorted(["same", content])
        assert (folder / "inner" / "same").read_text() == content
    assert store.exists("runs/a/model")
    assert store.fetch("runs/a/model/inner/two").read_text() == "two"
    assert store.names("runs/a") == ["runs/a/model/inner/same", "runs/a/model/inner/two"]


def test_what_was_fetched_is_fetched_anew_after_a_change(store):
    for content in (b"one", b"two", b"two", b""):
        store.write("a/x", content)
        assert store.fetch("a/x").read_bytes() == content


def test_of_many_that_create_one_file_one_does_and_its_content_stays(store):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: store.create("a/x", str(number).encode()), range(8)))
    assert made.count(True) == 1
    assert store.read("a/x") == str(made.index(True)).encode()
    assert store.create("a/x", b"later") is False and store.names() == ["a/x"]


def test_names_and_delete_see_files_and_folders_and_nothing_beside_them(store):
    write_folder(store, "runs/a/model", x="1", y="2")
    for name in ("runs/a/model.json", "runs/ab/x", "other"):
        store.write(name, b"x")
    assert store.names("runs") == ["runs/a/model.json", "runs/a/model/inner/x", "runs/a/model/inner/y", "runs/ab/x"]
    assert store.names("nothing") == []
    for name in ("runs/a/model", "runs/a/nothing", "other"):
        store.delete(name)
        assert not store.exists(name)
    assert store.names() == ["runs/a/model.json", "runs/ab/x"]


def test_many_files_are_all_listed(store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.write(f"many/{number:04d}", b"x"), range(1100)))
    assert store.names("many") == [f"many/{number:04d}" for number in range(1100)]


def test_readers_see_one_of_two_contents_while_a_writer_replaces_them(store):
    sizes = {letter: 300_000 for letter in "ab"}
    store.write("x", b"a" * sizes["a"])
    stop = threading.Event()

    def keep_writing():
        while not stop.is_set():
            for letter in "ba":
                store.write("x", letter.encode() * sizes[letter])

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(keep_writing)
        seen = [store.fetch("x").read_bytes() if number % 2 else store.read("x") for number in range(40)]
        stop.set()
        writer.result()
    assert {bytes({*content}) for content in seen} <= {b"a", b"b"}
    assert {len(content) for content in seen} == {300_000}


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "."])
def test_names_do_not_lead_out(store, name):
    for call in (store.location, store.exists, store.fetch, store.read, store.delete, store.replacing):
        with pytest.raises(DataError, match="leads out of the store"):
            call(name)


def test_a_missing_record_says_which_stage_to_run(store):
    for call in (store.read_json, store.read, store.fetch):
        with pytest.raises(DataError, match=r"runs/a/train\.json is missing.*Run that stage first"):
            call("runs/a/train.json")


def test_a_problem_has_its_own_part_of_the_store(tmp_path):
    for root in (str(tmp_path), "s3://bucket/prefix", "s3://bucket", "s3://bucket/"):
        read = settings.read({"EVERGREEN_STORE": root})
        assert store_of("flights", read).location("x").removeprefix(root).lstrip("/") == "flights/x"
        assert "//" not in store_of("flights", read).location("x").removeprefix("s3://")


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "No room left"), (errno.EROFS, "may not be written")])
def test_a_disk_that_says_no_is_told_in_words(tmp_path, number, words):
    with pytest.raises(TransientError, match=words), writing(tmp_path):
        raise OSError(number, os.strerror(number))


def test_digest_knows_names_and_contents(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_text("1")
    before = digest(tmp_path / "m")
    (tmp_path / "m" / "a").rename(tmp_path / "m" / "b")
    renamed = digest(tmp_path / "m")
    (tmp_path / "m" / "b").write_text("2")
    assert len({before, renamed, digest(tmp_path / "m")}) == 3


def test_a_folder_in_s3_has_the_digest_of_what_was_written(in_s3, tmp_path):
    write_folder(in_s3, "model", a="1", b="2")
    write_folder(Store(tmp_path / "disk"), "model", a="1", b="2")
    assert digest(in_s3.fetch("model")) == digest(tmp_path / "disk" / "model")


def test_what_has_not_changed_is_not_downloaded_again_and_old_copies_go(in_s3):
    write_folder(in_s3, "model", a="1")
    in_s3.write("x", b"1")
    first, other = in_s3.fetch("model"), in_s3.fetch("x")
    written = (first / "inner" / "a").stat().st_mtime_ns
    assert in_s3.fetch("model") == first and (first / "inner" / "a").stat().st_mtime_ns == written
    os.utime(other.parent, (0, 0))
    in_s3.write("x", b"2")
    assert in_s3.fetch("x") != other and not other.exists()
    assert first.exists()


def test_a_folder_that_was_synchronised_by_another_tool_is_there(in_s3, s3, bucket):
    s3.client().put_object(Bucket=bucket, Key="some/prefix/runs/a/model/model.json", Body=b"{}")
    assert in_s3.exists("runs/a/model")
    assert os.listdir(in_s3.fetch("runs/a/model")) == ["model.json"]


KILLED_BETWEEN_UPLOADS = """
import os, signal, sys
from pathlib import Path
from ml.store import Store
from ml.store.bucket import Bucket
real, done = Bucket._upload, []
def upload(self, name, local):
    real(self, name, local)
    done.append(name)
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
Bucket._upload = upload
with Store(sys.argv[1], Path(sys.argv[2])).replacing("model") as folder:
    folder.mkdir()
    for name in "abcd":
        (folder / name).write_text("new")
"""


@pytest.mark.parametrize("before", [False, True], ids=["nothing before", "a folder before"])
def test_a_writer_killed_between_uploads_leaves_no_folder_and_the_next_one_mends_it(in_s3, before):
    if before:
        write_folder(in_s3, "model", a="old")
    command = [sys.executable, "-c", KILLED_BETWEEN_UPLOADS, str(in_s3.root), str(in_s3.cache)]
    assert subprocess.run(command, cwd=settings.PROJECT, check=False).returncode == -signal.SIGKILL
    assert len(in_s3.names("model")) == 2  # the uploads were real
    assert not in_s3.exists("model")
    with pytest.raises(DataError, match="model is missing"):
        in_s3.fetch("model")
    write_folder(in_s3, "model", x="whole")
    assert [path.name for path in in_s3.fetch("model").rglob("*")] == ["inner", "x"]
    assert in_s3.names("model") == ["model/inner/x"]


def test_of_two_writers_of_a_folder_the_overtaken_one_is_told(in_s3, monkeypatch):
    upload, turns = Bucket._upload, iter(["the other writer comes between"])

    def upload_slowly(self, name, local):
        if next(turns, None):
            write_folder(in_s3, "model", a="second")
        upload(self, name, local)

    monkeypatch.setattr(Bucket, "_upload", upload_slowly)
    with pytest.raises(TransientError, match="Two writers were at s3://"):
        write_folder(in_s3, "model", b="first")
    write_folder(in_s3, "model", a="third")
    assert in_s3.names("model") == ["model/inner/a"]


def test_a_folder_replaced_while_it_is_read_is_read_whole(in_s3, monkeypatch):
    write_folder(in_s3, "model", a="old", b="old")
    download, turns = Bucket._download, iter(["nothing yet", "the writer comes between"])

    def download_slowly(self, name, etag, path):
        if next(turns, "").startswith("the writer"):
            write_folder(in_s3, "model", a="new", b="new")
        return download(self, name, etag, path)

    monkeypatch.setattr(Bucket, "_download", download_slowly)
    assert {path.read_text() for path in (in_s3.fetch("model") / "inner").iterdir()} == {"new"}


CALLS = {
    "exists": lambda store: store.exists("x"),
    "fetch": lambda store: store.fetch("x"),
    "read": lambda store: store.read("x"),
    "names": lambda store: store.names(),
    "write": lambda store: store.write("x", b"x"),
    "write a folder": lambda store: write_folder(store, "model", a="1"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_object_store_that_says_no_is_told_in_words(in_s3, call, monkeypatch, tmp_path):
    in_s3.write("x", b"x")
    with pytest.raises(
        ConfigError, match=r"no bucket 'nowhere' for s3://nowhere.*Create it|at s3://nowhere.*a bucket that does not exist"
    ):
        call(Store("s3://nowhere", tmp_path / "cache"))
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(ConfigError, match=r"refuses these keys at s3://.*(SignatureDoesNotMatch|403).*AWS_SECRET_ACCESS_KEY"):
            call(in_s3)
    with monkeypatch.context() as keyless:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            keyless.delenv(name)
        keyless.setenv("AWS_EC2_METADATA_DISABLED", "true")
        keyless.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        with pytest.raises(ConfigError, match=r"There are no keys for s3://.*Set AWS_ACCESS_KEY_ID"):
            call(in_s3)
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(TransientError, match=r"does not answer at s3://.*AWS_ENDPOINT_URL"):
            call(in_s3)
    assert in_s3.read("x") == b"x"


@pytest.mark.parametrize("root", ["s3://", "s3:///prefix"])
def test_an_address_without_bucket_is_told(root, tmp_path):
    with pytest.raises(ConfigError, match="names no bucket"):
        Store(root, tmp_path).exists("x")
