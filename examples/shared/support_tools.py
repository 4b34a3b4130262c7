"""Tools that every support agent may use."""

from flue_actors import tool

ARTICLES = {
    "billing": "Invoices are sent on the first of the month.",
    "export": "Exports hold up to 1,000 rows; ask for a full one by mail.",
}


@tool
def search_articles(topic: str) -> str:
    """Find the help article on a topic, such as billing or export."""
    return ARTICLES.get(topic.lower(), "There is no article on that.")


support_tools = [search_articles]
