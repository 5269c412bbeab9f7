"""However transactions nest and fail, the database holds what a list with save points would."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from comity.storage.database import MEMORY, Database

Block = tuple["list[int | Block]", bool]  # what it does in order, and whether it fails at the end
blocks = st.recursive(
    st.tuples(st.lists(st.integers(0, 9), max_size=3), st.booleans()),
    lambda inner: st.tuples(st.lists(st.integers(0, 9) | inner, max_size=4), st.booleans()),
    max_leaves=12,
)


class Fail(Exception):
    pass


def run(db: Database, block: Block, told: list[int]) -> None:
    steps, fails = block
    with suppress(Fail), db.transaction():
        for step in steps:
            if isinstance(step, int):
                number = step
                db.execute("INSERT INTO notes VALUES (?)", (number,))
                db.after_commit(lambda number=number: told.append(number))  # type: ignore[misc]  # bound now
            else:
                run(db, step, told)
        if fails:
            raise Fail


def model(block: Block) -> list[int]:
    steps, fails = block
    done: list[int] = []
    for step in steps:
        done += [step] if isinstance(step, int) else model(step)
    return [] if fails else done


@given(blocks)
def test_nested_transactions_do_what_the_model_does(block: Block) -> None:
    told: list[int] = []
    with Database(MEMORY, ("CREATE TABLE notes (number);\n",)) as db:
        run(db, block, told)
        found = [number for (number,) in db.execute("SELECT number FROM notes ORDER BY rowid")]
    assert found == model(block)
    assert told == found, "hooks run for what was committed, in order"
