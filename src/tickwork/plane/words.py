"""Texts of people as questions to the full-text index, whatever stands in them.

Law: every text gives a question that the index understands; none can name a column or an operator.
"""

import re
from typing import Final

MOST_WORDS: Final = 32
"""Words of a question; what a long text says first is asked."""

_WORD: Final = re.compile(r"\w+")


def match_any(text: str, joined: str = " OR ") -> str:
    """Return a question for entries that hold any word of a text; empty where the text has none.

    Args:
        joined: Between the words: `` AND `` asks for entries that hold all of them.
    """
    words = dict.fromkeys(word.lower() for word in _WORD.findall(text) if word.strip("_"))
    return joined.join(f'"{word}"' for word in list(words)[:MOST_WORDS])
