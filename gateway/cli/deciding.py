"""A person's answer to the question whether a tool may run. Pure."""

from flue_actors.gateway.wire import Decision


def decision_in(line: str) -> tuple[Decision, str | None] | None:
    """The decision and its reason; None if the line is neither yes nor no: what is unclear decides nothing."""
    word, _, rest = line.strip().partition(" ")
    match word.lower().rstrip(",.:;"):
        case "y" | "yes" if not rest.strip():
            return "approve", None
        case "n" | "no":
            return "deny", rest.strip() or None
        case _:
            return None
