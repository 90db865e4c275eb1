/* Gives back what it gets: to whoever sent it, or on the topic where nobody did. Counts what it gave back. */
#define TW_INBOX_BYTES 16384
#define TW_OUTBOX_BYTES 16384
#include "tickwork.h"

/* Handles are the places in the lists of agent.toml. */
enum { ON_ECHOES };

static uint64_t count;

static int32_t init(const tw_frame *config)
{
    (void)config;
    return TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    int32_t code;
    if (message->kind != TW_MESSAGE)
        return TW_OK;
    if (message->source == TW_OUTSIDE)
        code = tw_publish(ON_ECHOES, message->encoding, tw_body(message), tw_length(message));
    else
        code = tw_send_to(message->source, message->encoding, tw_body(message), tw_length(message));
    if (code == TW_OK)
        count++;
    return code;
}

static int32_t step(const tw_context *context)
{
    (void)context;
    return TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void) { return tw_metric("echoed", (int64_t)count); }

static int32_t save(uint8_t *to, uint32_t capacity)
{
    if (capacity < 8)
        return TW_TOO_BIG;
    tw_store64(to, count);
    return 8;
}

static int32_t load(const uint8_t *from, uint32_t length)
{
    if (length != 8)
        return TW_BAD_MESSAGE;
    count = tw_load64(from);
    return TW_OK;
}

TW_AGENT(init, receive, step, shutdown)
TW_AGENT_STATE(save, load)
