"""A resource that answers every HTTP method itself, so that the host application's 405 page is never seen."""

from collections.abc import Callable
from typing import Any, TypeVar

from falcon.constants import COMBINED_METHODS

C = TypeVar("C", bound=type[Any])

_HTTP = sorted(set(COMBINED_METHODS) - {"WEBSOCKET"})


def answers_every_method(responder: str) -> Callable[[C], C]:
    """Class decorator: Falcon finds the method called ``responder`` under the name of every HTTP method."""

    def decorate(resource: C) -> C:
        for method in _HTTP:
            setattr(resource, f"on_{method.lower()}", getattr(resource, responder))
        return resource

    return decorate
