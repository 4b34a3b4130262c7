"""The contract of `flue_actors.storage` as a suite: every store runs it, third parties' included.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(check, tmp_path):
        await check(lambda: my_store(tmp_path / "data"))

A check gets a function that makes an unopened store. Each call of one check must lead to the same data (a new object on
the same file; for a store that lives in memory the same object), each check to data of its own. No test framework needed.
"""

from typing import Final

from flue_actors.store.contract import (
    admission,
    approvals,
    attachments,
    attempts,
    commits,
    content,
    journals,
    ownership,
    parents,
    removing,
    renaming,
)
from flue_actors.store.contract.records import Check, Make

__all__ = ["CHECKS", "Check", "Make"]

_ROOMS: Final = (
    admission,
    approvals,
    attachments,
    attempts,
    commits,
    content,
    journals,
    ownership,
    parents,
    removing,
    renaming,
)

CHECKS: Final[tuple[Check, ...]] = tuple(
    value for room in _ROOMS for name, value in sorted(vars(room).items()) if name.startswith("check_")
)
"""One check, or more, for each sentence of the contract."""
