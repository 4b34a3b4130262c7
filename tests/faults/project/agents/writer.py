"""Streams text: short answers at once, long ones for half a second."""

from flue_actors import Durability, create_agent, public

PATIENT = Durability(attempts=1_000)  # kills are many, and every input has to be answered all the same

guard = public
agent = create_agent(model="scripted/echo?rate=200&size=200", instructions="Write.", durability=PATIENT)
