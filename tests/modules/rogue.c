/* Misbehaves once, in the way and at the tick it is told; before and after it only counts.
 *
 * Configuration: {"act": ACT, "at": TICK, "where": "step", "code": -1, "every": 0}.
 *   act    trap       the unreachable instruction
 *          loop       never returns
 *          memory     grows and fills memory until it gets no more, then traps
 *          recursion  calls itself without end
 *          stack      overflows the stack its compiler keeps in memory
 *          length     tells an outbox longer than its region
 *          count      tells more frames than it wrote
 *          frame      leaves a frame smaller than its header
 *          tail       leaves a frame that runs past the outbox
 *          kind       leaves a frame of a kind that does not exist
 *          handle     publishes on a handle it does not have
 *          code       returns `code`
 *          none       behaves
 *   where  init, receive, step or shutdown
 *   every  acts again every so many ticks; 0 acts once
 * It publishes its counter on handle 0 in every other turn, if it has `publish` = 1 in its configuration. */
#define TW_INBOX_BYTES 8192
#define TW_OUTBOX_BYTES 8192
#include "tickwork.h"

enum { ACT_BYTES = 16, BLOCK_PAGES = 16 };

static char act[ACT_BYTES], where[ACT_BYTES];
static uint64_t at_tick, every;
static int32_t code;
static int talks;
static uint32_t turns;

static void keep(const tw_frame *config, const char *key, char *into, const char *otherwise)
{
    const uint8_t *text = (const uint8_t *)otherwise;
    uint32_t length = tw_text_length(otherwise);
    (void)tw_config_text(config, key, &text, &length);
    if (length >= ACT_BYTES)
        length = ACT_BYTES - 1;
    tw_copy(into, text, length);
    into[length] = 0;
}

static int is(const char *text, const char *wanted)
{
    return tw_text_length(text) == tw_text_length(wanted) && tw_equal(text, wanted, tw_text_length(wanted));
}

__attribute__((noinline)) static uint64_t dive(uint64_t depth)
{
    __asm__ volatile("" ::: "memory");
    return depth == UINT64_MAX ? 0 : dive(depth + 1) * 3 ^ depth;
}

__attribute__((noinline)) static uint64_t dive_in_memory(uint64_t depth)
{
    volatile uint64_t block[64];
    block[depth % 64] = depth;
    return depth == UINT64_MAX ? 0 : dive_in_memory(depth + 1) * 3 ^ block[depth % 64];
}

static void bomb(void)
{
    for (;;) {
        const uint32_t before = (uint32_t)__builtin_wasm_memory_grow(0, BLOCK_PAGES);
        if (before == UINT32_MAX)
            __builtin_trap();
        tw_fill((void *)(uintptr_t)(before * 65536), 0xa5, BLOCK_PAGES * 65536);
    }
}

static int32_t misbehave(void)
{
    tw_frame *frame = (tw_frame *)(tw_outbox + tw_ctx.out_len);
    if (is(act, "trap"))
        __builtin_trap();
    if (is(act, "loop"))
        for (;;)
            __asm__ volatile("");
    if (is(act, "memory"))
        bomb();
    if (is(act, "recursion"))
        return (int32_t)dive(turns);
    if (is(act, "stack"))
        return (int32_t)dive_in_memory(turns);
    if (is(act, "length"))
        tw_ctx.out_len = 0x7fffffff;
    if (is(act, "count"))
        tw_ctx.out_count += 3;
    if (is(act, "handle"))
        return tw_publish(999, TW_BYTES, "?", 1);
    if (is(act, "kind"))
        return tw_write(77, TW_BYTES, 0, "?", 1);
    if (is(act, "frame") || is(act, "tail")) {
        const int32_t written = tw_log_text("a frame that will be spoilt");
        frame->size = is(act, "frame") ? 7 : 4000;
        return written;
    }
    return is(act, "code") ? code : TW_OK;
}

static int due(const char *place)
{
    const uint64_t tick = tw_tick();
    if (!is(where, place) || tick < at_tick)
        return 0;
    return tick == at_tick || (every && (tick - at_tick) % every == 0);
}

static int32_t init(const tw_frame *config)
{
    keep(config, "act", act, "none");
    keep(config, "where", where, "step");
    at_tick = (uint64_t)tw_config_whole(config, "at", 0);
    every = (uint64_t)tw_config_whole(config, "every", 0);
    code = (int32_t)tw_config_whole(config, "code", TW_FAILED);
    talks = tw_config_whole(config, "publish", 0) != 0;
    return is(where, "init") ? misbehave() : TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    (void)message;
    return due("receive") ? misbehave() : TW_OK;
}

static int32_t step(const tw_context *context)
{
    (void)context;
    turns++;
    if (talks && turns % 2 == 0 && tw_publish(0, TW_BYTES, &turns, sizeof turns))
        return TW_OUTBOX_FULL;
    return due("step") ? misbehave() : 0;
}

static int32_t shutdown(void) { return is(where, "shutdown") ? misbehave() : TW_OK; }

TW_AGENT(init, receive, step, shutdown)
