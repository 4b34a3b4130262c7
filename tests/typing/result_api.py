"""Structured results, as a strict type checker has to see them. Never run."""

import dataclasses
from typing import Any, TypedDict, assert_type

import msgspec
import pydantic

from flue_actors import Runtime
from flue_actors.agent_ref import AgentRef, SessionRef, StructuredResult
from flue_actors.events import PromptResult


class Cat(msgspec.Struct):
    name: str


@dataclasses.dataclass
class Dog:
    name: str


class Bird(TypedDict):
    name: str


class Fish(pydantic.BaseModel):
    name: str


async def ask(runtime: Runtime, session: SessionRef) -> None:
    ref = runtime.ref("agent", "u1")
    same: AgentRef = ref
    assert_type(await ref.prompt("hi"), PromptResult)
    assert_type(await ref.session("x").prompt("hi"), PromptResult)
    assert_type(await same.prompt("hi"), PromptResult)
    assert_type(await ref.prompt("who?", result=Cat), StructuredResult[Cat])
    assert_type((await session.prompt("who?", result=Cat)).data, Cat)
    assert_type((await ref.prompt("who?", result=Dog)).data, Dog)
    assert_type((await ref.prompt("who?", result=Bird)).data, Bird)
    assert_type((await ref.prompt("who?", result=Fish, model="scripted/echo")).data, Fish)
    assert_type((await ref.prompt("who?", result=list[Cat])).data, list[Cat])
    assert_type(await ref.prompt("who?", result={"type": "object"}), StructuredResult[Any])
    assert_type(await ref.skill("greet"), PromptResult)
    assert_type((await ref.skill("greet", args={"to": "ada"}, result=Cat)).data, Cat)
    assert_type(await ref.task("look"), PromptResult)
    assert_type((await ref.shell("ls")).exit_code, int)
    assert_type(await ref.compact(), bool)


async def refused(runtime: Runtime) -> None:
    """Every line here is an error to the checker; one that no longer is fails the check too."""
    ref = runtime.ref("agent", "u1")
    await ref.prompt("who?", result=3)  # pyright: ignore[reportCallIssue, reportArgumentType]  # no shape
    await ref.prompt("who?", resul=Cat)  # pyright: ignore[reportCallIssue]  # no such option
    await ref.task("look", result=Cat)  # pyright: ignore[reportCallIssue]  # a task answers text
