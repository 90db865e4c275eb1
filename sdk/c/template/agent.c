/* A starter: counts the messages it gets, answers each with the count, and tells the total once a day of ticks.
 *
 * Configuration: {"every": 24}. */
#include "tickwork.h"

/* Handles are the places in the lists of agent.toml. */
enum { ON_TOTALS };

static int64_t every;
static uint64_t total;

/* Once, with the configuration. A negative code refuses it. */
static int32_t init(const tw_frame *config)
{
    every = tw_config_whole(config, "every", 24);
    return every > 0 && every < TW_AGAIN ? TW_OK : TW_BAD_MESSAGE;
}

/* Each message, in order. */
static int32_t receive(const tw_frame *message)
{
    char buffer[32];
    tw_text text = tw_text_in(buffer, sizeof buffer);
    if (message->kind != TW_MESSAGE)
        return TW_OK;
    tw_add_whole(&text, (int64_t)++total);
    const int32_t code = tw_reply(message, TW_BYTES, buffer, text.length);
    return code == TW_NOT_FOUND ? TW_OK : code; /* What came from outside has nobody to answer. */
}

/* After the messages. The result is how many ticks to sleep; a message wakes it earlier. */
static int32_t step(const tw_context *context)
{
    const int64_t since = (int64_t)(context->tick % (uint64_t)every);
    if (since == 0 && tw_publish(ON_TOTALS, TW_BYTES, &total, sizeof total))
        return TW_OUTBOX_FULL;
    return (int32_t)(every - since - 1);
}

/* The last turn; what it leaves in the outbox still counts. */
static int32_t shutdown(void) { return tw_metric("total", (int64_t)total); }

/* The state, for the next version of this agent. */
static int32_t save(uint8_t *to, uint32_t capacity)
{
    if (capacity < 16)
        return TW_TOO_BIG;
    tw_store64(to, (uint64_t)every);
    tw_store64(to + 8, total);
    return 16;
}

/* Takes a state in a new instance, in place of init. */
static int32_t load(const uint8_t *from, uint32_t length)
{
    if (length != 16)
        return TW_BAD_MESSAGE;
    every = (int64_t)tw_load64(from);
    total = tw_load64(from + 8);
    return TW_OK;
}

TW_AGENT(init, receive, step, shutdown)
TW_AGENT_STATE(save, load)
