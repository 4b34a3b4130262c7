"""Streams text: short answers at once, long ones for a second or two."""

from flue_actors import create_agent, public

guard = public
agent = create_agent(model="scripted/echo?rate=200&size=60", instructions="Write.")
