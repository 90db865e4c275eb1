"""What there is to import inside the base module of Python agents; the base itself is built from this very file."""

STDLIB = (
    "__future__", "abc", "array", "ast", "base64", "binascii", "bisect", "builtins", "calendar", "cmath", "codecs",
    "collections", "collections.abc", "colorsys", "contextlib", "contextvars", "copy", "copyreg", "csv", "dataclasses",
    "datetime", "decimal", "difflib", "enum", "errno", "fractions", "functools", "gc", "graphlib", "hashlib", "heapq",
    "html", "inspect", "io", "itertools", "json", "keyword", "logging", "math", "numbers", "operator", "pprint",
    "queue", "random", "re", "reprlib", "statistics", "string", "struct", "sys", "textwrap", "time", "token",
    "tokenize", "traceback", "types", "typing", "unicodedata", "uuid", "warnings", "weakref", "zlib",
)  # fmt: skip
"""Modules of the standard library."""

OWN = (
    "msgspec", "tickwork", "tickwork.codec", "tickwork.errors", "tickwork.kinds", "tickwork.native", "tickwork.records",
    "tickwork.tensors",
)  # fmt: skip
"""What else there is: the agent's side of Tickwork, and the part of msgspec that agents use."""

MAIN = "agent"
"""The module that holds the agent's class."""

METHODS = ("init", "turn", "shutdown")
"""What the agent's class defines."""

CHOSEN = "AGENT"
"""Name that says which class is the agent's, where more than one has its methods."""
