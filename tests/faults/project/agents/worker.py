"""Calls tools."""

from shared_tools import TOOLS

from flue_actors import create_agent, public

guard = public
agent = create_agent(model="scripted/echo", instructions="Work.", tools=TOOLS)
