"""The agent that runs plans: a pure function of what it was told, like every other agent."""
