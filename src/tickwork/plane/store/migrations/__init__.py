"""What has been changed in the tables of stores, a file for each change, run by ``migrating``."""
