"""How a provider is reached."""

import msgspec


class Transport(msgspec.Struct, frozen=True):
    """None = the provider's own default or environment variable."""

    base_url: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}

    def patched(self, patch: "Transport") -> "Transport":
        """This one with what the patch names."""
        return Transport(
            base_url=patch.base_url or self.base_url,
            api_key=patch.api_key or self.api_key,
            headers={**self.headers, **patch.headers},
        )
