"""Where an agent's shell and files are: one port (`protocol`), what implements it, and the tools a model gets for it."""
