/* Talks every turn: `count` messages of `length` bytes to the agents that follow it in a ring of `peers`.
 *
 * Configuration: {"count": 1, "length": 64, "peers": 50, "first": 0}. The `send` list holds the ring, agent `first` + i at handle i,
 * so that all agents of the ring can share one list. A message is (sender's counter, sender, index) and filler. */
#define TW_INBOX_BYTES 24576
#define TW_OUTBOX_BYTES 24576
#include "tickwork.h"

static uint32_t count_, length_, peers_, place_;
static uint64_t turns, heard, heard_bytes, mixed;

static int32_t init(const tw_frame *config)
{
    count_ = (uint32_t)tw_config_whole(config, "count", 1);
    length_ = (uint32_t)tw_config_whole(config, "length", 64);
    peers_ = (uint32_t)tw_config_whole(config, "peers", 1);
    place_ = tw_self() - (uint32_t)tw_config_whole(config, "first", 0);
    return length_ < 16 || !peers_ ? TW_BAD_MESSAGE : TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    if (message->kind != TW_MESSAGE || tw_length(message) < 16)
        return TW_OK;
    heard++;
    heard_bytes += tw_length(message);
    mixed = (mixed ^ tw_load64(tw_body(message))) * 0x100000001b3ull;
    return TW_OK;
}

static int32_t step(const tw_context *context)
{
    (void)context;
    turns++;
    for (uint32_t index = 0; index < count_; index++) {
        uint8_t *body = tw_begin(length_);
        if (!body)
            return TW_OUTBOX_FULL;
        tw_store64(body, turns ^ mixed);
        tw_store32(body + 8, place_);
        tw_store32(body + 12, index);
        tw_fill(body + 16, (uint8_t)turns, length_ - 16);
        tw_end(TW_SEND, TW_BYTES, (place_ + 1 + index) % peers_, length_);
    }
    return 0;
}

static int32_t shutdown(void) { return tw_metric("heard", (int64_t)heard); }

TW_AGENT(init, receive, step, shutdown)
