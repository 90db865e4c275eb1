"""The driver: everything between the pure kernel and the world."""
