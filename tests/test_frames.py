"""Texts beside an index: with and without a dictionary, after a crash, and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from govc_search.errors import StoreError
from govc_search.indexer import frames
from govc_search.indexer.frames import FrameFile


def opened(path: Path) -> FrameFile:
    return FrameFile(path / "x.texts", path / "x.index", "the text of")


def texts_of(first: int, count: int) -> list[bytes]:
    return [
        b"Signed-off-by: Somebody <somebody@example.com>\nfix number %d of the parser\n" % i * 3
        for i in range(first, first + count)
    ]


def add(file: FrameFile, first: int, count: int) -> None:
    texts = texts_of(first, count)
    sizes = np.array([len(t) for t in texts], np.int64)
    ids = np.arange(first, first + count, dtype=np.uint64)
    file.add(ids, texts, sizes, np.full(count, -1, np.int64))


def held(file: FrameFile, count: int) -> list[bytes]:
    return list(file.frames().read(np.arange(count, dtype=np.uint64)).texts)


def test_frames_from_before_the_dictionary_and_with_it_are_read(tmp_path: Path) -> None:
    file = opened(tmp_path)
    add(file, 0, 10)
    file.commit()
    assert not (tmp_path / "x.dictionary").exists()
    plain = (tmp_path / "x.texts").stat().st_size / 10
    # Few at a time, as commits come.
    for first in range(10, 4010, 500):
        add(file, first, 500)
    # Not durable yet: another reader sees what was there.
    assert held(file, 5000) == texts_of(0, 10)
    file.commit()
    trained = (tmp_path / "x.dictionary").read_bytes()
    assert held(file, 5000) == texts_of(0, 4010)
    size = (tmp_path / "x.texts").stat().st_size
    again = opened(tmp_path)
    add(again, 4010, 5000)
    again.commit()
    # What is added from then on takes less than half the room.
    assert ((tmp_path / "x.texts").stat().st_size - size) / 5000 < plain / 2
    assert (tmp_path / "x.dictionary").read_bytes() == trained
    assert held(again, 10_000) == held(opened(tmp_path), 10_000) == texts_of(0, 9010)


def test_a_dictionary_that_was_not_committed_is_forgotten(tmp_path: Path) -> None:
    file = opened(tmp_path)
    add(file, 0, 4000)
    file.rollback()
    assert not (tmp_path / "x.dictionary").exists()
    add(file, 0, 5)
    file.commit()
    assert held(file, 10) == held(opened(tmp_path), 10) == texts_of(0, 5)


@pytest.mark.parametrize("damage", ["missing", "another"])
def test_a_lost_dictionary_is_told(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "_LEAST_SAMPLE", 1000)
    file = opened(tmp_path)
    add(file, 0, 4000)
    file.commit()
    dictionary = tmp_path / "x.dictionary"
    if damage == "missing":
        dictionary.unlink()
    else:
        data = bytearray(dictionary.read_bytes())
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
        dictionary.write_bytes(data)
    with pytest.raises(StoreError) as caught:
        held(opened(tmp_path), 4000)
    assert caught.value.code == "text_damaged"
