"""Which model the examples talk to: offline unless FLUE_MODEL says otherwise, such as anthropic/claude-haiku-4-5."""

import os

JOKES = os.environ.get("FLUE_MODEL", "scripted/jokes")
MODEL = os.environ.get("FLUE_MODEL", "scripted/echo")
