"""An agent instance as an actor: one attempt at one input, the tasks of its subagents, and outcomes in any case."""
