"""How a provider is reached."""

import msgspec


class Transport(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with which credentials.

    Attributes:
        base_url: None = the protocol's own default, or its environment variable.
        api_key: None = none, or with ``environment`` the one of the protocol's environment variable.
        headers: Sent with every request.
        environment: Whether the environment's credentials may be sent there.
    """

    base_url: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}
    environment: bool = False

    @property
    def own(self) -> bool:
        """It leads to who made the protocol (or to what stands in for them), not to somebody who speaks it too."""
        return self.environment or self.base_url is None

    def patched(self, patch: "Transport") -> "Transport":
        """This one with what the patch names."""
        return Transport(
            base_url=patch.base_url or self.base_url,
            api_key=patch.api_key or self.api_key,
            headers={**self.headers, **patch.headers},
            environment=self.environment,
        )
