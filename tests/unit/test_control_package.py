"""``comity.control`` gives every operation's types, and reads only the modules that are asked for."""

from __future__ import annotations

import dataclasses
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from comity import control

SOURCE = Path(control.__file__).read_text()
NAMED = set(re.findall(r"^    from comity\.control\.(\w+) import \*", SOURCE, re.MULTILINE))


def test_every_type_of_its_modules_is_there() -> None:
    assert NAMED
    for name in NAMED:
        module = importlib.import_module(f"comity.control.{name}")
        for word, value in vars(module).items():
            if dataclasses.is_dataclass(value):
                assert getattr(control, word) is value


def test_types_and_names_agree() -> None:
    listed = set(re.findall(r'"(\w+)"', SOURCE.partition("_MODULES = (")[2].partition("\n)")[0]))
    assert listed == NAMED


def test_a_name_that_is_none() -> None:
    for name in ("Nothing", "nothing"):
        with pytest.raises(AttributeError, match=name):
            getattr(control, name)


def test_sending_a_file_reads_no_more_than_it_needs() -> None:
    program = "import sys, comity.cli.exchange; print(*(m for m in sys.modules if m.startswith('comity.')))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    read = set(ran.stdout.split())
    assert "comity.control.exchange" in read
    assert not read & {"comity.control.audit", "comity.control.charter_life", "comity.control.trust"}
