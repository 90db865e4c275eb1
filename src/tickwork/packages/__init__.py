"""Packages: who signed one, whether that key is trusted to, what a lock file pins, and where packages come from."""
