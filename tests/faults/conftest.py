"""Shows the lab's figures at the end of a run, also when its tests ran in other processes."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each test that recorded ``figures``."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(value)
