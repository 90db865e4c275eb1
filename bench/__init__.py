"""The bars: Tickwork measured beside what one would use instead, and beside what the machine can do at best.

``python -m bench`` measures all of them; docs/reference/bench.md says what each one is. A bar and its peers take turns
(A B C A B C), so that a noisy moment hits all of them, and the ratio is the median of the ratios of each round.
"""
