"""Texts of people as questions to the full-text index, whatever stands in them.

Law: every text gives a question that the index understands; none can name a column or an operator.
"""

import re
from typing import Final

MOST_WORDS: Final = 32
"""Words of a question; what a long text says first is asked."""

_WORD: Final = re.compile(r"\w+")

_EVERYWHERE: Final = frozenset(
    """
    a about an and any are as at be been by can could did do does for from had has have how i if in into is it its may
    me my no not of on or our shall should so than that the their them then there these they this those to us was we
    were what when where which who whom why will with would you your
    """.split()
)
"""English words that say nothing of what a text is about, and so are not asked for while there are others."""


def match_any(text: str, joined: str = " OR ") -> str:
    """Return a question for entries that hold any word of a text; empty where the text has none.

    Args:
        joined: Between the words: `` AND `` asks for entries that hold all of them.
    """
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(text) if word.strip("_")))
    telling = [word for word in words if word not in _EVERYWHERE] or words
    return joined.join(f'"{word}"' for word in telling[:MOST_WORDS])
