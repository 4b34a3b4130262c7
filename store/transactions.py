"""Writes a batch of commits: which go into one transaction, and what becomes of the others. Runs in the writer's thread.

1. All commits of the batch go into one transaction. One that is refused before it wrote anything is left out of it.
2. If one was refused after writing, or raised, the transaction is rolled back and each commit gets its own: so all or
   none holds for each, and an error reaches its own caller only. A SAVEPOINT around every commit would cost 12 %.
3. If the file is at fault (full, I/O error, damaged), nothing of the batch is kept and every commit of it fails.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence

from flue_actors.errors import FencedError, StoreError
from flue_actors.storage import Committed, Op
from flue_actors.store.failures import hits_everybody, is_io_error, store_error
from flue_actors.store.ledger import Ledger

logger = logging.getLogger(__name__)

Ops = Sequence[Op]
Outcome = Committed | StoreError


class Transactions:
    """The writing connection and what is done on it."""

    def __init__(self, db: sqlite3.Connection, rest: Callable[[], None]) -> None:
        """``rest`` is called before each COMMIT."""
        self._db = db
        self._rest = rest
        self._ledger = Ledger(db)
        self.outcomes: Sequence[Outcome] = ()
        """Of the last batch."""
        self.broken = False
        """An I/O error happened: what the connection holds in memory may not be what the file holds."""

    def write(self, batch: Sequence[Ops]) -> None:
        """Leaves one outcome for each commit of ``batch`` in `outcomes`; what is no error there is durable."""
        try:
            self.outcomes = self._in_one(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends as an outcome
            self._roll_back()
            if hits_everybody(error):
                self.outcomes = self._all_fail(batch, error)
            elif len(batch) == 1:
                self.outcomes = [store_error(error)]
            else:
                self.outcomes = [self._alone(ops) for ops in batch]

    def _in_one(self, batch: Sequence[Ops]) -> list[Outcome]:
        """
        Raises:
            FencedError: A commit was refused after it had written.
        """
        db, apply = self._db, self._ledger.apply
        outcomes: list[Outcome] = []
        db.execute("BEGIN IMMEDIATE")
        for ops in batch:
            changes = db.total_changes
            try:
                outcomes.append(apply(ops))
            except FencedError as refusal:
                if db.total_changes != changes:
                    raise
                outcomes.append(refusal)
        self._rest()
        db.execute("COMMIT")
        return outcomes

    def _alone(self, ops: Ops) -> Outcome:
        self.write([ops])
        return self.outcomes[0]

    def _roll_back(self) -> None:
        self._ledger.forget()
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            logger.exception("rolling back failed; the connection is replaced")
            self.broken = True

    def _all_fail(self, batch: Sequence[Ops], error: Exception) -> list[Outcome]:
        self.broken = self.broken or (isinstance(error, sqlite3.Error) and is_io_error(error))
        return [store_error(error) for _ in batch]
