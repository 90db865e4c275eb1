/* Computes: `iterations` rounds of integer work a turn, every turn; a result goes out on publish handle 0 every `every` turns.
 *
 * Configuration: {"iterations": 500000, "every": 0}; 0 publishes nothing. */
#define TW_INBOX_BYTES 4096
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"

static uint64_t state;
static uint32_t iterations, every, turns;

static int32_t init(const tw_frame *config)
{
    iterations = (uint32_t)tw_config_whole(config, "iterations", 500000);
    every = (uint32_t)tw_config_whole(config, "every", 0);
    state = 0x9e3779b97f4a7c15ull + tw_self();
    return TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    state ^= message->seq;
    return TW_OK;
}

static int32_t step(const tw_context *context)
{
    uint64_t mixed = state ^ context->tick;
    for (uint32_t round = 0; round < iterations; round++) {
        mixed ^= mixed << 13;
        mixed ^= mixed >> 7;
        mixed ^= mixed << 17;
    }
    state = mixed;
    turns++;
    if (every && turns % every == 0 && tw_publish(0, TW_BYTES, &state, sizeof state))
        return TW_OUTBOX_FULL;
    return 0;
}

static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
