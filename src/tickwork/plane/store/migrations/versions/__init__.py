"""The changes. Order: each names the one before it."""
