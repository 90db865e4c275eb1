/* Writes to a window, and tells what it reads of two.
 *
 * Configuration: {"write": -1, "every": 1, "most": 600, "fail": 0}. With `write` 0 or 1 it fills a part of that window's region with
 * random bytes every so many ticks, at most so many of them. Of each TW_WINDOW_EPOCH it publishes on handle 0: handle u32, zero
 * u32, epoch, size, offset and length u64, and the FNV-1a hash u64 of its region as far as it is filled. In each `fail`-th
 * tick its turn fails after all that, so that it has to be undone. */
#define TW_INBOX_BYTES 4096
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"

enum { REGION_BYTES = 4096 };

static uint8_t regions[2][REGION_BYTES];
static int64_t written, every, most, fail;

TW_WINDOWS({regions[0], REGION_BYTES}, {regions[1], REGION_BYTES})

static int32_t init(const tw_frame *config)
{
    written = tw_config_whole(config, "write", -1);
    every = tw_config_whole(config, "every", 1);
    most = tw_config_whole(config, "most", 600);
    fail = tw_config_whole(config, "fail", 0);
    return every < 1 || most < 1 || most > REGION_BYTES ? TW_BAD_MESSAGE : TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    tw_epoch epoch;
    uint64_t body[6], hash = 0xcbf29ce484222325ull;
    if (!tw_read_epoch(message, &epoch) || message->destination > 1)
        return TW_OK;
    for (uint64_t at = 0; at < epoch.size && at < REGION_BYTES; at++)
        hash = (hash ^ regions[message->destination][at]) * 0x100000001b3ull;
    body[0] = message->destination;
    body[1] = epoch.epoch;
    body[2] = epoch.size;
    body[3] = epoch.offset;
    body[4] = epoch.length;
    body[5] = hash;
    return tw_publish(0, TW_BYTES, body, sizeof body);
}

static int32_t step(const tw_context *context)
{
    int32_t told = TW_OK;
    if (written >= 0 && context->tick % (uint64_t)every == 0) {
        uint8_t *region = regions[written & 1];
        const uint32_t length = 1 + tw_random_below((uint32_t)most);
        for (uint32_t at = 0; at < length; at++)
            region[at] = (uint8_t)tw_random();
        told = tw_window_write((uint32_t)written, 0, length);
    }
    if (told < 0 || (fail && context->tick % (uint64_t)fail == (uint64_t)fail - 1))
        return TW_FAILED;
    return written < 0 ? TW_UNTIL_MESSAGE : 0;
}

static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
