"""A piece of work, turn after turn: performs what `conversation` decides, and writes it before anybody is told."""
