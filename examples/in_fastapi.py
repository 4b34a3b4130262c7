"""Agents inside a FastAPI application: uvicorn in_fastapi:app, then POST /ai/agents/joke-teller/me"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from agents.joke_teller import agent as joke_teller
from fastapi import FastAPI

from flue_actors import AgentDefinition, Runtime, create_app, public, sqlite

open_to_all = AgentDefinition("joke-teller", joke_teller, route=public)  # without a guard: only for this program
runtime = Runtime(agents={"joke-teller": open_to_all}, store=sqlite("data/fastapi.db"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    async with runtime:
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/ai", create_app(runtime))


@app.get("/joke")
async def joke(about: str) -> str:
    return (await runtime.ref("joke-teller", "visitors").prompt(about)).text
