"""Random streams."""

from hypothesis import given
from hypothesis import strategies as st

from tickwork.kernel.random import BLOCK_TICKS, seed_block, stream_key

seeds = st.integers(0, 2**64 - 1)


@given(seeds, st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_the_seed_of_a_tick_depends_on_the_key_and_the_tick_alone(seed: int, agent: int, block: int) -> None:
    key = stream_key(seed, agent)
    drawn = seed_block(key, block)
    seed_block(key, block + 1)
    assert drawn == seed_block(stream_key(seed, agent), block)
    assert len(drawn) == BLOCK_TICKS
    assert all(0 <= value < 2**64 for value in drawn)


def test_keys_of_different_agents_and_seeds_differ() -> None:
    keys = {stream_key(seed, agent) for seed in range(20) for agent in range(20)}
    assert len(keys) == 400


def test_the_stream_is_the_published_one() -> None:
    assert stream_key(2013, 0).hex()[:16] == GOLDEN_KEY
    assert seed_block(stream_key(2013, 0), 0)[:2] == GOLDEN_SEEDS


GOLDEN_KEY = "912d7f28e92cedf6"
GOLDEN_SEEDS = (11253557894477342322, 4736339913868273209)
