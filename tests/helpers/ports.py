"""Ports for servers of tests and benchmarks."""

import random
import socket


def free_port() -> int:
    """One nobody listens on, below the range that outgoing connections take theirs from."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
