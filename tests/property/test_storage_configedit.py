"""Settings are changed in place: what a person wrote around them stays, and the result reads as was meant."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.errors import InvalidInput
from comity.storage.config import Config, format_config, parse_config
from comity.storage.configedit import edit_config

JOIN = "comity://rendezvous.example:9000#" + "ab" * 32
TEXT = f'''# Lab A, radiology. Ask ana before you change this.
hostname = "lab-a"
join = "{JOIN}"

# The firewall lets this one through:
listen = "0.0.0.0:9100"  # ticket #4711
tags = [
    "lung",   # the study
    "mri",
]
'''
BEFORE = parse_config(TEXT.encode())


def changed(text: str = TEXT, **settings: object) -> str:
    config = dataclasses.replace(parse_config(text.encode()), **settings)  # type: ignore[arg-type]  # by name
    edited = edit_config(text.encode(), config)
    assert parse_config(edited) == config
    return edited.decode()


def test_a_changed_line_keeps_its_comment_and_all_around_it() -> None:
    assert changed(listen="127.0.0.1:1#2") == TEXT.replace("0.0.0.0:9100", "127.0.0.1:1#2")


def test_a_list_over_several_lines_becomes_one() -> None:
    edited = changed(tags=("ct",))
    assert 'tags = ["ct"]\n' in edited
    assert edited.startswith(TEXT[: TEXT.index("tags")])


def test_what_was_not_said_is_added_at_the_end() -> None:
    assert changed(punch=False) == TEXT + "punch = false\n"
    assert changed(TEXT.rstrip(), punch=False).endswith("]\npunch = false")


def test_nothing_changes_where_nothing_was_changed() -> None:
    assert edit_config(TEXT.encode(), BEFORE) == TEXT.encode()
    windows = TEXT.replace("\n", "\r\n")
    assert edit_config(windows.encode(), BEFORE) == windows.encode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("listen", '"listen"'),  # a key in quotes: not found, and so the file is written anew
        TEXT.replace("listen =", 'organization = """\nlisten = "x"\n"""\nlisten ='),  # said inside a text
        "\ufeff" + TEXT,
        "not toml",
        "",
    ],
)
def test_what_cannot_be_edited_safely_is_written_anew(text: str) -> None:
    config = dataclasses.replace(BEFORE, listen="127.0.0.1:1")
    edited = edit_config(text.encode(), config)
    assert parse_config(edited).listen == "127.0.0.1:1"
    assert parse_config(edited) in (config, dataclasses.replace(config, organization='listen = "x"\n'))


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
CONFIGS = st.builds(
    Config,
    hostname=WORDS,
    join=WORDS,
    organization=WORDS,
    listen=WORDS,
    public=st.booleans(),
    tags=st.lists(WORDS, max_size=3).map(tuple),
)


@given(CONFIGS, CONFIGS, st.randoms(use_true_random=False))
def test_whatever_is_changed_reads_back(before: Config, after: Config, order: random.Random) -> None:
    lines = format_config(before).decode().splitlines(keepends=True)
    order.shuffle(lines)
    text = "".join(lines).encode()
    try:
        parse_config(text)
    except InvalidInput:
        return
    assert parse_config(edit_config(text, after)) == after
