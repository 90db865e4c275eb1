"""Packages: who signed a module, whether that key is trusted to, what a lock file pins, and registries to take them from."""
