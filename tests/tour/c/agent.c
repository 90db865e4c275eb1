/* Makes every call of the SDK once, one in each step, so that the SDKs of all languages can be compared byte for byte. */
#define TW_INBOX_BYTES 16384
#define TW_OUTBOX_BYTES 16384
#include "tickwork.h"

/* Every list of agent.toml holds one name. */
enum { ONLY };

enum { CALLS = 17, USER_KIND = 0x8001, STATE_BYTES = 24 };

static const uint64_t FNV_START = 0xcbf29ce484222325ull, FNV_PRIME = 0x100000001b3ull;

static uint64_t steps, count, hash = FNV_START;

static uint8_t board[1024];

static uint64_t hashed(uint64_t so_far, const void *bytes, uint32_t length)
{
    const uint8_t *at = (const uint8_t *)bytes;
    for (; length; length--)
        so_far = (so_far ^ *at++) * FNV_PRIME;
    return so_far;
}

static int32_t init(const tw_frame *config)
{
    (void)config;
    return TW_OK;
}

static int32_t receive(const tw_frame *frame)
{
    count++;
    hash = hashed(hash, &frame->kind, 2);
    hash = hashed(hash, &frame->encoding, 2);
    hash = hashed(hash, &frame->destination, 4);
    hash = hashed(hash, tw_body(frame), tw_length(frame));
    return TW_OK;
}

static int32_t write_window(void)
{
    tw_copy(board, "window 10", 9);
    return tw_window_write(ONLY, 0, 9);
}

static int32_t plan_second(void)
{
    const uint32_t after[] = {1};
    return tw_task(ONLY, 2, 0, after, 1, "two", 3);
}

static int32_t call(uint64_t number)
{
    int32_t code;
    switch (number) {
    case 0: return tw_send(ONLY, TW_BYTES, "hello", 5);
    case 1: return tw_publish(ONLY, TW_JSON, "{\"n\":1}", 7);
    case 2: return tw_publish_retained(ONLY, TW_BYTES, "kept", 4);
    case 3: return tw_leave(ONLY);
    case 4: return tw_join(ONLY);
    case 5: return tw_timer(7, 2);
    case 6: return tw_task(ONLY, 1, 5, NULL, 0, "one", 3);
    case 7: return plan_second();
    case 8: return tw_call(ONLY, TW_MSGPACK, "\x93\x01\x02\x03", 4);
    case 9: return tw_infer(ONLY, TW_BYTES, "ask", 3);
    case 10: return write_window();
    case 11: return tw_log_text("tour 11");
    case 12: return tw_metric("tour", 12);
    case 13: return tw_spawn(ONLY, TW_JSON, "{\"k\":1}", 7);
    case 14: return tw_write(USER_KIND, TW_BYTES, TW_RAW_AGENT | tw_self(), "user", 4);
    case 15: return tw_metric("random", tw_random_below(1000));
    case 16:
        code = tw_metric("count", (int64_t)count);
        return code ? code : tw_metric("hash", (int64_t)hash);
    default: return TW_OK;
    }
}

static int32_t step(const tw_context *context)
{
    (void)context;
    if (steps >= CALLS)
        return TW_UNTIL_MESSAGE;
    const int32_t code = call(steps++);
    return code ? code : 0;
}

static int32_t shutdown(void) { return TW_OK; }

static int32_t save(uint8_t *to, uint32_t capacity)
{
    if (capacity < STATE_BYTES)
        return TW_TOO_BIG;
    tw_store64(to, steps);
    tw_store64(to + 8, count);
    tw_store64(to + 16, hash);
    return STATE_BYTES;
}

static int32_t load(const uint8_t *from, uint32_t length)
{
    if (length != STATE_BYTES)
        return TW_BAD_MESSAGE;
    steps = tw_load64(from);
    count = tw_load64(from + 8);
    hash = tw_load64(from + 16);
    return TW_OK;
}

TW_AGENT(init, receive, step, shutdown)
TW_AGENT_STATE(save, load)
TW_WINDOWS(TW_WINDOW(board))
