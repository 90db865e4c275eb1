"""The command line: one file per command, all of it a thin face of the driver.

Data goes to stdout, talk to stderr. An exit status has one meaning; ``app`` lists them.
"""
