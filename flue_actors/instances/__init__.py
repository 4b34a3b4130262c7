"""What an active instance has: its sandbox, what its tools keep, pictures and files."""
