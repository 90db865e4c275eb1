/* Answers every message with its own body. */
#define TW_INBOX_BYTES 24576
#define TW_OUTBOX_BYTES 24576
#include "tickwork.h"

static int32_t init(const tw_frame *config)
{
    (void)config;
    return TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    if (message->kind != TW_MESSAGE && message->kind != TW_RETAINED)
        return TW_OK;
    const int32_t code = tw_reply(message, message->encoding, tw_body(message), tw_length(message));
    return code == TW_NOT_FOUND ? TW_OK : code;
}

static int32_t step(const tw_context *context)
{
    (void)context;
    return TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
