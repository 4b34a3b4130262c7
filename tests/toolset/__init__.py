"""Tests of the tools that a model gets for a sandbox."""
