"""Skills: tools with a schema on both sides, the registry that finds them, and those that are shipped."""
