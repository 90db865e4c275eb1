"""What Tickwork is measured beside: what one would use instead, and what the machine can do at best.

Each is small and complete, and none knows Tickwork but for the layouts of the agent ABI, which any host of these
agents must know. One that is not installed raises ``PeerMissing`` with the line that installs it.
"""
