"""The Anthropic Messages API: request mapping and stream decoding (pure), and the client over the real SDK."""
