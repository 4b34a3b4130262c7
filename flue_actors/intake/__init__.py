"""Accepted inputs: at the door, on their way to their actor, waiting for decisions, kept and removed."""
