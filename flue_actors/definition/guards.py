"""thin, replaced soon"""
from typing import Any
import msgspec
class Principal(msgspec.Struct, frozen=True):
    subject: str
    tenant: str | None = None
    claims: dict[str, Any] = {}
Guard = Any
