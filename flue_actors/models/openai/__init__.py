"""Chat completions, as OpenAI and many others speak them: request mapping and stream decoding (pure), and the real SDK."""
