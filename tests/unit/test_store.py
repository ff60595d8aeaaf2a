"""Blobs: whole or not at all, inside the store or nowhere."""

import errno
import os

import pytest

from ml.errors import DataError, TransientError
from ml.store import Store, digest, writing


def test_json_comes_back(tmp_path):
    store = Store(tmp_path)
    store.write_json("runs/a/x.json", {"n": 1})
    assert store.read_json("runs/a/x.json") == {"n": 1}


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path):
    store = Store(tmp_path)
    store.write("a/x", b"old")
    with pytest.raises(RuntimeError), store.replacing("a/x") as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert store.path("a/x").read_bytes() == b"old"
    assert os.listdir(tmp_path / "a") == ["x"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    store = Store(tmp_path)
    for content in ("one", "two"):
        with store.replacing("model") as folder:
            folder.mkdir()
            (folder / content).write_text(content)
    assert os.listdir(store.path("model")) == ["two"]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x"])
def test_names_do_not_lead_out(tmp_path, name):
    with pytest.raises(DataError, match="leads out of the store"):
        Store(tmp_path / "store").path(name)


def test_a_missing_record_says_which_stage_to_run(tmp_path):
    with pytest.raises(DataError, match="Run that stage first"):
        Store(tmp_path).read_json("runs/a/train.json")


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
