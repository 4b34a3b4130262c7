"""uvicorn's configuration, with our settings in it: it is all that uvicorn's protocols get to see."""

import uvicorn

from flue_actors.definition.settings import Settings


class GatewayConfig(uvicorn.Config):
    """What `server.make_server` gives to uvicorn."""

    settings: Settings = Settings()
