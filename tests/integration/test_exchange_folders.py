"""Folders travel as one artifact: whole or not at all, resumed, and only what changed of a second version."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from comity.errors import ComityError, FileChanged, FileUnusable, NameRefused, TransferFailed
from comity.protocol.exchange.messages import Type
from tests.integration.test_exchange_resume import CHUNK, IN_FLIGHT, Line


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    made = Line(tmp_path)
    yield made
    await made.world.close()
    made.alice.close()
    made.bob.close()


def grow(folder: Path, files: dict[str, bytes | None]) -> Path:
    """A folder with these files; None makes an empty folder."""
    for path, content in files.items():
        target = folder / path
        if content is None:
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return folder


def held(folder: Path) -> dict[str, bytes | None]:
    """What is in a folder, in the form that ``grow`` takes."""
    found: dict[str, bytes | None] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[name] = None
    return found


CHECKPOINT: dict[str, bytes | None] = {
    "config.json": b"{}",
    "empty.txt": b"",
    "logs": None,
    "deep/er/still": None,
    "shards/model-00001.safetensors": os.urandom(2 * CHUNK + 77),
    "shards/model-00002.safetensors": os.urandom(3 * CHUNK),
    "zeros.bin": bytes(CHUNK + 5),
    **{f"vocab/{number:03}.txt": os.urandom(number) for number in range(200)},
}


async def test_a_folder_arrives_as_it_is(line: Line) -> None:
    folder = grow(line.folder / "checkpoint", CHECKPOINT)
    result = await line.alice.send("bob", folder)
    (file,) = await line.bob.files()
    assert held(Path(file.path)) == CHECKPOINT
    assert (file.name, file.bytes, file.digest) == ("checkpoint", result.bytes, result.digest)
    assert result.bytes_sent == result.bytes == sum(len(content or b"") for content in CHECKPOINT.values())
    assert list((line.bob.home / "incoming").iterdir()) == []
    modes = {path.stat().st_mode & 0o777 for path in Path(file.path).rglob("*")}
    assert modes == {0o600, 0o700}


async def test_names_are_a_part_of_what_is_signed_for(line: Line) -> None:
    one = await line.alice.send("bob", grow(line.folder / "one", {"a": b"x", "b": b"y"}), "model")
    two = await line.alice.send("bob", grow(line.folder / "two", {"a": b"x", "c": b"y"}), "model")
    assert one.digest != two.digest
    assert two.bytes_sent == 0
    assert [Path(file.path).name for file in await line.bob.files()] == ["model.2", "model"]


@pytest.mark.parametrize("files", [{}, {"only": None}, {"a": b"", "b/c": b""}])
async def test_folders_without_a_byte(line: Line, files: dict[str, bytes | None]) -> None:
    folder = line.folder / "model"
    folder.mkdir()
    await line.alice.send("bob", grow(folder, files))
    (file,) = await line.bob.files()
    assert held(Path(file.path)) == files


@pytest.mark.parametrize("count", [1, 3, 6])
async def test_an_interrupted_folder_goes_on(line: Line, count: int) -> None:
    folder = grow(line.folder / "checkpoint", CHECKPOINT)
    line.breaks(at=Type.CHUNK, count=count)
    with pytest.raises(TransferFailed, match="was lost"):
        await line.alice.send("bob", folder)
    await line.idle()
    assert await line.bob.files() == ()
    assert list((line.bob.home / "received").rglob("*")) == []
    result = await line.alice.send("bob", folder)
    assert result.bytes_sent <= result.bytes - (count - 1 - IN_FLIGHT) * CHUNK
    (file,) = await line.bob.files()
    assert held(Path(file.path)) == CHECKPOINT
    assert list((line.bob.home / "incoming").iterdir()) == []


async def test_a_folder_that_changed_between_two_attempts(line: Line) -> None:
    """Nothing of what was there before is left behind, though all in all it is as long as it was."""
    folder = grow(line.folder / "model", {"a": b"1" * CHUNK, "b": b"2" * CHUNK, "gone": b"3" * CHUNK})
    line.breaks(at=Type.CHUNK, count=3)
    with pytest.raises(TransferFailed):
        await line.alice.send("bob", folder)
    await line.idle()
    (folder / "a").rename(folder / "new")
    now = held(folder)
    await line.alice.send("bob", folder)
    (file,) = await line.bob.files()
    assert held(Path(file.path)) == now


async def test_a_second_version_sends_what_changed(line: Line) -> None:
    folder = grow(line.folder / "checkpoint", CHECKPOINT)
    await line.alice.send("bob", folder)
    (folder / "config.json").write_bytes(b'{"round": 2}')
    (folder / "vocab/201.txt").write_bytes(b"new")
    (folder / "empty.txt").unlink()
    now = held(folder)
    result = await line.alice.send("bob", folder)
    assert 0 < result.bytes_sent < CHUNK
    assert held(Path((await line.bob.files())[0].path)) == now


async def test_zeros_at_the_end_of_files_arrive(line: Line) -> None:
    """Equal chunks of zeros are neither sent nor written twice, and nothing is shorter for that."""
    folder = line.folder / "model"
    grow(folder, {"a": b"1"})
    await line.alice.send("bob", folder)
    files: dict[str, bytes | None] = {f"{n}": os.urandom(CHUNK) + bytes(2 * CHUNK) for n in range(3)}
    grow(folder, files)
    result = await line.alice.send("bob", folder)
    assert result.bytes_sent <= 4 * CHUNK + 1
    assert held(Path((await line.bob.files())[0].path)) == files | {"a": b"1"}


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────


def link(folder: Path) -> None:
    (folder / "sub/link").symlink_to("/etc/passwd")


def dangling(folder: Path) -> None:
    (folder / "link").symlink_to("nowhere")


def to_a_folder(folder: Path) -> None:
    (folder / "up").symlink_to("..", target_is_directory=True)


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "sub/pipe")


def a_socket(folder: Path) -> None:
    made = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket must be short
    try:
        made.bind("socket")
    finally:
        os.chdir(here)
        made.close()


@pytest.mark.parametrize("add", [link, dangling, to_a_folder, pipe, a_socket])
async def test_only_files_and_folders_are_sent(line: Line, add: Callable[[Path], None]) -> None:
    folder = grow(line.folder / "model", {"a": b"x", "sub/b": b"y"})
    add(folder)
    with pytest.raises(FileUnusable, match="the folder cannot be sent"):
        await line.alice.send("bob", folder)
    assert line.alice.rows() == []


@pytest.mark.parametrize(
    "files",
    [
        {".hidden": b""},
        {"sub/.git": None},
        {"a\nb": b""},
        {"-rf": b""},
        {"Model": b"", "model": b""},
        {"Sub/a": b"", "sub/b": b""},
        {"\u00e9": b"", "e\u0301": b""},
        {"x" * 200 + "/" + "y" * 200 + "/" + "z" * 250 + "/" + "w" * 250 + "/" + "v" * 250: b""},
    ],
)
async def test_names_that_no_folder_should_have(line: Line, files: dict[str, bytes | None]) -> None:
    folder = line.folder / "model"
    folder.mkdir()
    if len(held(grow(folder, files))) < len(files):
        pytest.skip("this filesystem makes one of both")
    with pytest.raises(NameRefused):
        await line.alice.send("bob", folder)
    assert line.alice.rows() == []


@pytest.mark.parametrize("fate", ["longer", "shorter", "removed", "replaced by a link"])
async def test_a_file_that_changes_while_its_folder_is_sent(line: Line, fate: str) -> None:
    folder = grow(line.folder / "model", {f"{number:02}": os.urandom(CHUNK) for number in range(40)})
    victim = folder / "39"

    def change(_: object) -> None:
        if fate == "longer":
            victim.write_bytes(bytes(CHUNK + 1))
        elif fate == "shorter":
            victim.write_bytes(b"")
        else:
            victim.unlink(missing_ok=True)
            if fate == "replaced by a link":
                victim.symlink_to("38")

    def setup(wire: object) -> None:
        change(wire)

    line.world.setup = setup
    with pytest.raises((FileChanged, FileUnusable)):
        await line.alice.send("bob", folder)
    await line.idle()
    assert await line.bob.files() == ()
    assert list((line.bob.home / "received").rglob("*")) == []
    assert list((line.bob.home / "incoming").iterdir()) == []


async def test_a_taken_name_is_not_overwritten(line: Line) -> None:
    folder = grow(line.folder / "model", {"a": b"1"})
    await line.alice.send("bob", folder)
    (folder / "a").write_bytes(b"2")
    await line.alice.send("bob", folder)
    assert [held(Path(file.path)) for file in await line.bob.files()] == [{"a": b"2"}, {"a": b"1"}]


async def test_errors_are_ours(line: Line) -> None:
    folder = grow(line.folder / "model", {"a": b"1"})
    descriptor = os.open(folder, os.O_RDONLY)
    os.close(descriptor)
    with pytest.raises(ComityError):
        await line.alice.send("bob", descriptor, "model")
