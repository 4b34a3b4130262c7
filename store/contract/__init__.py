"""The contract of `flue_actors.storage` as a suite: every store runs it, third parties' included.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(check, tmp_path):
        await check(lambda: my_store(tmp_path / "data"))

A check gets a function that makes an unopened store. Each call of one check must lead to the same data (a new object on
the same file; for a store that lives in memory the same object), each check to data of its own. No test framework needed.
"""

from flue_actors.store.contract.checks import CHECKS
from flue_actors.store.contract.records import Check, Make

__all__ = ["CHECKS", "Check", "Make"]
