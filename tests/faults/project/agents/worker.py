"""Calls tools."""

from shared_tools import TOOLS

from flue_actors import Durability, create_agent, public

PATIENT = Durability(attempts=1_000)  # kills are many, and every input has to be answered all the same

guard = public
agent = create_agent(model="scripted/echo", instructions="Work.", tools=TOOLS, durability=PATIENT)
