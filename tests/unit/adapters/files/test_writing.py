"""Files written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from promptprop.adapters.files.writing import require_folder, write_atomically
from promptprop.domain.errors import NotWritable, StorageFull

posix_only = pytest.mark.skipif(os.name == "nt", reason="modes, links and pipes are a matter of POSIX")


def failing(code: int) -> object:
    def fsync(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    return fsync


@posix_only
def test_a_pipe_is_written_straight_by_the_name_it_was_given() -> None:
    reader, writer = os.pipe()
    write_atomically(f"/dev/fd/{writer}", "a\n")
    os.close(writer)
    assert os.read(reader, 9) == b"a\n"
    os.close(reader)


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", "é\r\n\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\r\n\n".encode()


def test_bytes_replace_what_was_there_and_leave_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    write_atomically(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@posix_only
def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    path.write_text("old")
    path.chmod(0o751)
    write_atomically(path, "new")
    assert path.stat().st_mode & 0o777 == 0o751


@posix_only
def test_a_new_file_has_the_mode_that_the_umask_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


@posix_only
def test_a_link_keeps_pointing_where_it_did(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_atomically(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@posix_only
def test_a_device_is_written_straight() -> None:
    write_atomically("/dev/null", "x")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, NotWritable), (errno.EROFS, NotWritable)],
)
def test_a_failure_keeps_the_old_contents_and_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", failing(code))
    with pytest.raises(kind, match=r"a\.txt"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["away/a.txt", "file/a.txt", "folder", "loop"])
def test_a_place_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NotWritable, match=name) as caught:
        write_atomically(tmp_path / name, "x")
    assert caught.value.remedy


def test_a_folder_that_is_not_there_is_told_before_anything_is_written(tmp_path: Path) -> None:
    require_folder(tmp_path / "new.txt")
    with pytest.raises(NotWritable, match="there is no folder"):
        require_folder(tmp_path / "absent" / "new.txt")
    assert list(tmp_path.iterdir()) == []
