"""Stores: implementations of the port in `flue_actors.storage`."""

from flue_actors.store.sqlite_store import SqliteStore, sqlite

__all__ = ["SqliteStore", "sqlite"]
