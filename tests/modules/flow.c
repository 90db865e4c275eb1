/* Moves as much as it can through a window: one writes it whole each tick, the others look at it.
 *
 * Configuration: {"write": 0, "length": 8388608}. With `write` 1 it changes 8 bytes in each 4 KiB of its region and writes all of
 * `length`; a reader adds up those bytes and logs nothing. */
#define TW_INBOX_BYTES 4096
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"

enum { REGION_BYTES = 16 << 20, STRIDE_BYTES = 4096 };

static uint8_t region[REGION_BYTES];
static uint64_t sum;
static int64_t writes, length;

TW_WINDOWS({region, REGION_BYTES})

static int32_t init(const tw_frame *config)
{
    writes = tw_config_whole(config, "write", 0);
    length = tw_config_whole(config, "length", 8 << 20);
    return length < 0 || length > REGION_BYTES ? TW_BAD_MESSAGE : TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    tw_epoch epoch;
    if (tw_read_epoch(message, &epoch))
        for (uint64_t at = 0; at + 8 <= epoch.size; at += STRIDE_BYTES)
            sum += tw_load64(region + at);
    return TW_OK;
}

static int32_t step(const tw_context *context)
{
    if (!writes)
        return TW_UNTIL_MESSAGE;
    for (int64_t at = 0; at + 8 <= length; at += STRIDE_BYTES)
        tw_store64(region + at, context->tick + (uint64_t)at);
    const int32_t told = tw_window_write(0, 0, (uint64_t)length);
    return told < 0 ? told : 0;
}

static int32_t shutdown(void)
{
    tw_metric("sum", (int64_t)sum);
    return TW_OK;
}

TW_AGENT(init, receive, step, shutdown)
