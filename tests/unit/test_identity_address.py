"""Addresses: one spelling each, 48 bits both ways."""

from __future__ import annotations

import pytest

from comity.errors import InvalidInput
from comity.identity.address import Address


def test_spelling() -> None:
    assert str(Address(1, 0x10)) == "1:0001.0000.0010"
    assert str(Address(65535, 0xFFFFFFFF)) == "65535:ffff.ffff.ffff"
    assert Address.parse("10:000a.00ab.00c0") == Address(10, 0x00AB00C0)


def test_integer_form() -> None:
    assert Address(1, 0x10).to_int() == 0x0001_0000_0010
    assert Address.from_int(0xFFFF_0000_0001) == Address(65535, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1:0002.0000.0010",  # decimal and hexadecimal disagree
        "10:0010.0000.0010",
        "01:0001.0000.0010",
        "+1:0001.0000.0010",
        "1:1.0.10",
        "1:0001.0000.001",
        "1:0001.0000.00100",
        "1:0001.0000.0010\n",
        " 1:0001.0000.0010",
        "1:0001.0000.00AB",  # the one spelling is in lower case
        "1:0001:0000:0010",
        "1.0001.0000.0010",
        "65536:0000.0000.0010",
        "99999:869f.0000.0010",
        "١:0001.0000.0010",
        "1:0001.0000.００10",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Address.parse(text)


@pytest.mark.parametrize(("network", "node"), [(-1, 0), (65536, 0), (1, -1), (1, 2**32)])
def test_range(network: int, node: int) -> None:
    with pytest.raises(InvalidInput):
        Address(network, node)


@pytest.mark.parametrize("value", [-1, 2**48])
def test_integer_range(value: int) -> None:
    with pytest.raises(InvalidInput):
        Address.from_int(value)


def test_order_follows_the_integer() -> None:
    addresses = [Address(2, 0), Address(1, 0x20), Address(1, 0x10)]
    assert sorted(addresses) == sorted(addresses, key=Address.to_int)
