"""Who is calling? A real application asks its session store or identity provider here."""

from flue_actors import Principal, bearer

TOKENS = {
    "token-of-ada": Principal("ada", claims={"tickets": ["ticket-8472"], "approves": True}),
    "token-of-bob": Principal("bob", claims={"tickets": ["ticket-8473"]}),
}


async def authenticate(authorization: str | None) -> Principal | None:
    """The caller behind an Authorization header, or None."""
    scheme, _, token = (authorization or "").partition(" ")
    return TOKENS.get(token) if scheme.lower() == "bearer" else None


signed_in = bearer(TOKENS)
"""A guard: whoever has one of the tokens may come in."""
