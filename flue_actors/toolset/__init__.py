"""The tools a model gets from the runtime: file and shell tools for a sandbox, and those that read skills."""
