/* Keeps time: a timer of `period` ticks that it sets anew, and one of three periods set at its start.
 *
 * Configuration: {"period": 5}. Publishes on handle 0 at each firing: tag u32, firings u32, tick u64. */
#define TW_INBOX_BYTES 4096
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"

enum { AGAIN_TAG = 1, ONCE_TAG = 2 };

static uint64_t period;
static uint32_t firings;

static int32_t init(const tw_frame *config)
{
    const int64_t given = tw_config_whole(config, "period", 5);
    if (given < 1)
        return TW_BAD_MESSAGE;
    period = (uint64_t)given;
    const int32_t first = tw_timer(AGAIN_TAG, period), second = tw_timer(ONCE_TAG, 3 * period);
    return first ? first : second;
}

static int32_t receive(const tw_frame *message)
{
    uint8_t body[16];
    if (message->kind != TW_TIMER_FIRED)
        return TW_OK;
    tw_store32(body, message->destination);
    tw_store32(body + 4, ++firings);
    tw_store64(body + 8, tw_tick());
    const int32_t told = tw_publish(0, TW_BYTES, body, sizeof body);
    return told || message->destination != AGAIN_TAG ? told : tw_timer(AGAIN_TAG, period);
}

static int32_t step(const tw_context *context)
{
    (void)context;
    return TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
