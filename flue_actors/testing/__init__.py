"""The test kit shipped with the project: virtual time, probes and doubles."""
