"""Skills (agentskills.io): what a model can read up on when a task needs it. Pure but for `load` and `discovery`."""
