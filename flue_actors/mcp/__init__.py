"""Tools of MCP servers: `connect_mcp_server`. Needs the extra `mcp`."""
