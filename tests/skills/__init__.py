"""Tests of skills: reading, packaging, finding and activating them."""
