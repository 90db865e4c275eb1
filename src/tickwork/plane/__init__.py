"""Goals become validated plans of skills, and run as ordinary runs: the agent operating system."""
