/* Tells rumours to peers chosen at random, and to everyone now and then.
 *
 * Configuration: {"peers": 8, "fanout": 3}. Handles: send 0 to peers-1; publish 0 = what was heard, 1 = the retained rumour.
 * A rumour is 16 bytes: value u64, hops u32, teller u32. An agent keeps the largest value it has heard and tells that. */
#define TW_INBOX_BYTES 24576
#define TW_OUTBOX_BYTES 24576
#include "tickwork.h"

static uint32_t peers, fanout, heard;
static uint64_t best;
static uint32_t hops;

static int32_t init(const tw_frame *config)
{
    peers = (uint32_t)tw_config_whole(config, "peers", 1);
    fanout = (uint32_t)tw_config_whole(config, "fanout", 2);
    best = tw_random() >> 32;
    return peers ? TW_OK : TW_BAD_MESSAGE;
}

static int32_t receive(const tw_frame *message)
{
    if (message->kind != TW_MESSAGE && message->kind != TW_RETAINED)
        return TW_OK;
    if (tw_length(message) != 16)
        return TW_BAD_MESSAGE;
    heard++;
    if (tw_load64(tw_body(message)) > best) {
        best = tw_load64(tw_body(message));
        hops = tw_load32(tw_body(message) + 8) + 1;
    }
    return TW_OK;
}

static int32_t step(const tw_context *context)
{
    uint8_t rumour[16];
    int32_t code = TW_OK;
    if (tw_random_below(16) == 0) {
        best = (best ^ tw_random()) >> 32;
        hops = 0;
    }
    tw_store64(rumour, best);
    tw_store32(rumour + 8, hops);
    tw_store32(rumour + 12, context->agent);
    for (uint32_t index = 0; index < fanout && code == TW_OK; index++)
        code = tw_send(tw_random_below(peers), TW_BYTES, rumour, sizeof rumour);
    if (code == TW_OK && tw_random_below(4) == 0)
        code = tw_publish(0, TW_BYTES, rumour, sizeof rumour);
    if (code == TW_OK && tw_random_below(8) == 0)
        code = tw_publish_retained(1, TW_BYTES, rumour, sizeof rumour);
    return code == TW_OK ? (int32_t)tw_random_below(3) : code;
}

static int32_t shutdown(void) { return tw_metric("heard", heard); }

TW_AGENT(init, receive, step, shutdown)
