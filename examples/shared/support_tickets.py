"""The application's own data, and tools that reach one ticket of it."""

from collections.abc import Sequence

from flue_actors import Tool, tool

TICKETS = {
    "ticket-8472": ["The invoice shows last month's address."],
    "ticket-8473": ["The export stops after 1,000 rows."],
}


def ticket_tools(ticket_id: str) -> Sequence[Tool]:
    """Tools for this ticket only: the model never gets to choose another one."""

    @tool
    def read_ticket() -> str:
        """Read everything that was written in the customer's ticket."""
        return "\n".join(TICKETS.get(ticket_id, ["The ticket is empty."]))

    @tool
    def add_comment(text: str) -> str:
        """Add a comment to the customer's ticket."""
        TICKETS.setdefault(ticket_id, []).append(text)
        return "Added."

    return [read_ticket, add_comment]
