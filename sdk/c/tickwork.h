/* tickwork.h: everything an agent in C or C++ needs, in one header.
 *
 * Agent ABI v1.0. Compiles as C11 and as C++17 for wasm32, needs no C library, allocates nothing and imports nothing.
 *
 * An agent is four functions and one macro:
 *
 *     #include "tickwork.h"
 *     static int32_t init(const tw_frame *config)       { (void)config; return TW_OK; }
 *     static int32_t receive(const tw_frame *message)   { return tw_reply(message, TW_BYTES, "hello", 5); }
 *     static int32_t step(const tw_context *context)    { (void)context; return TW_UNTIL_MESSAGE; }
 *     static int32_t shutdown(void)                     { return TW_OK; }
 *     TW_AGENT(init, receive, step, shutdown)
 *
 * What holds:
 *   - The host writes context and inbox before a call and reads the outbox after it, never during one. Nothing here calls the host.
 *   - A frame of the inbox is valid until the function it was given to returns. Copy what has to be kept.
 *   - A negative return code other than TW_OUTBOX_FULL rolls the whole turn back: memory, globals and outbox.
 *   - Handles are indices into the lists of names in the manifest (publish, subscribe, send, skills, spawn, models, windows), in
 *     their order.
 *   - Time is the tick, randomness is tw_random(). Both are the same on every machine.
 *   - TW_AGENT stands in exactly one source file of a module; other files may include this header too.
 *
 * Sizes can be set before the header is included:
 *   TW_INBOX_BYTES, TW_OUTBOX_BYTES   4096 to 1048576, a multiple of 16; 65536 unless told.
 */
#ifndef TICKWORK_H
#define TICKWORK_H

#include <stddef.h>
#include <stdint.h>

#define TW_ABI_MAJOR 1
#define TW_ABI_MINOR 0

#ifndef TW_INBOX_BYTES
#define TW_INBOX_BYTES 65536
#endif
#ifndef TW_OUTBOX_BYTES
#define TW_OUTBOX_BYTES 65536
#endif
#if TW_INBOX_BYTES < 4096 || TW_INBOX_BYTES > 1048576 || TW_INBOX_BYTES % 16
#error "TW_INBOX_BYTES must be 4096 to 1048576 and a multiple of 16"
#endif
#if TW_OUTBOX_BYTES < 4096 || TW_OUTBOX_BYTES > 1048576 || TW_OUTBOX_BYTES % 16
#error "TW_OUTBOX_BYTES must be 4096 to 1048576 and a multiple of 16"
#endif

#ifdef __cplusplus
#define TW_EXTERN_C extern "C"
#define TW_BEGIN_C extern "C" {
#define TW_END_C }
#define TW_STATIC_ASSERT static_assert
#else
#define TW_EXTERN_C
#define TW_BEGIN_C
#define TW_END_C
#define TW_STATIC_ASSERT _Static_assert
#endif
#define TW_UNUSED __attribute__((unused))
#define TW_API static inline TW_UNUSED
#define TW_EXPORT(name) __attribute__((used, export_name(name)))

/* ---- Codes ------------------------------------------------------------------------------------------------------ */

/* Return codes, for the agent's functions and for every tw_ call that returns int32_t. Below -1000 they are the agent's own. */
enum {
    TW_OK = 0,
    TW_FAILED = -1,
    TW_BAD_MESSAGE = -2,
    TW_NO_MEMORY = -3,
    TW_DENIED = -4,
    TW_NOT_FOUND = -5,
    TW_TOO_BIG = -6,
    TW_OUTBOX_FULL = -7, /* From a step: what is in the outbox counts, plan me again with the rest. */
    TW_UNSUPPORTED = -8,
    TW_BAD_STATE = -9,
    TW_CONFLICT = -10,
    TW_TIMEOUT = -11,
    TW_FATAL = -12 /* Stop me. */
};

/* What a step returns besides a number of ticks to sleep; 0 means the next tick. */
#define TW_AGAIN 0x7ffffffe         /* Plan me again, this work is unfinished. */
#define TW_UNTIL_MESSAGE 0x7fffffff /* Sleep until a message, a result or a timer comes. */

/* Kinds of frames. From 0x8000 on they are the user's. */
enum {
    TW_SEND = 1,
    TW_PUBLISH = 2,
    TW_PUBLISH_RETAINED = 3,
    TW_JOIN = 4,
    TW_LEAVE = 5,
    TW_SPAWN = 6,
    TW_EXIT = 7,
    TW_TIMER = 8,
    TW_TASK = 9,
    TW_INFER = 10,
    TW_SKILL = 11,
    TW_WINDOW_WRITE = 12,
    TW_LOG = 13,
    TW_METRIC = 14,
    TW_MESSAGE = 32,
    TW_RESULT = 33,
    TW_ERROR = 34,
    TW_TIMER_FIRED = 35,
    TW_RETAINED = 36,
    TW_WINDOW_EPOCH = 37,
    TW_CONFIG = 38,
    TW_TASK_READY = 39
};

/* How a body reads. */
enum { TW_BYTES = 0, TW_JSON = 1, TW_MSGPACK = 2, TW_TENSOR = 3, TW_ARTIFACT = 4, TW_IN_WINDOW = 5 };

#define TW_OUTSIDE 0xffffffffu   /* Source of a message that no agent sent. */
#define TW_DIRECT 0xffffffffu    /* Destination of a message that came by no topic. */
#define TW_RAW_AGENT 0x80000000u /* In a destination: the rest is an agent's number, not a handle. */
#define TW_MODEL 0x80000000u     /* In the destination of a TW_RESULT or TW_ERROR: the rest is a model's handle, not a skill's. */

/* ---- Layout ----------------------------------------------------------------------------------------------------- */

/* One frame: this header, then the body, padded to 8 bytes. `size` counts header and body without the padding.
 * Of a frame to the agent: `destination` is the handle in `subscribe` for what came by a topic and TW_DIRECT otherwise, the tag of
 * a TW_TIMER_FIRED or TW_TASK_READY, of a TW_RESULT the skill's handle, or the model's with TW_MODEL, and the window's handle of a
 * TW_WINDOW_EPOCH. `seq` is the place in the run's order of messages (the
 * effect's number for a result), `tick` the tick in which it was sent. */
typedef struct tw_frame {
    uint32_t size;
    uint16_t kind;
    uint16_t encoding;
    uint32_t source;
    uint32_t destination;
    uint64_t seq;
    uint64_t tick;
} tw_frame;

/* The turn's context. The host fills it; `out_len` and `out_count` are written by the calls below. */
typedef struct tw_context {
    uint64_t tick;
    uint64_t seed;
    uint64_t fuel;
    uint64_t wall_us; /* Microseconds since 1970 with the `clock` capability, else 0. */
    uint32_t agent;
    uint32_t in_len;
    uint32_t in_count;
    uint32_t out_len;
    uint32_t out_count;
    uint32_t reserved[3];
} tw_context;

typedef struct tw_descriptor {
    uint8_t magic[4];
    uint16_t major;
    uint16_t minor;
    uint32_t inbox;
    uint32_t inbox_capacity;
    uint32_t outbox;
    uint32_t outbox_capacity;
    uint32_t context;
    uint32_t flags; /* Bit 0: tw_turn is exported. */
} tw_descriptor;

TW_STATIC_ASSERT(sizeof(tw_frame) == 32, "a frame header is 32 bytes");
TW_STATIC_ASSERT(sizeof(tw_context) == 64, "a context is 64 bytes");
TW_STATIC_ASSERT(sizeof(tw_descriptor) == 32, "a descriptor is 32 bytes");
TW_STATIC_ASSERT(sizeof(void *) == 4, "agents are built for wasm32");

typedef struct tw_stream {
    uint64_t seed;
    uint64_t tick;
    uint64_t state;
} tw_stream;

TW_BEGIN_C
/* The module's regions, defined by TW_AGENT. */
extern uint8_t tw_inbox[TW_INBOX_BYTES];
extern uint8_t tw_outbox[TW_OUTBOX_BYTES];
extern tw_context tw_ctx;
extern tw_descriptor tw_descriptor_;
extern tw_stream tw_stream_;
#if !__STDC_HOSTED__
void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);
#endif
TW_END_C

/* ---- Bytes ------------------------------------------------------------------------------------------------------ */

/* Copies `count` bytes between regions that do not overlap. */
TW_API void tw_copy(void *to, const void *from, uint32_t count)
{
    uint8_t *out = (uint8_t *)to;
    const uint8_t *in = (const uint8_t *)from;
    for (; count >= 8; count -= 8, out += 8, in += 8)
        __builtin_memcpy(out, in, 8);
    for (; count; count--)
        *out++ = *in++;
}

/* Sets `count` bytes to `value`. */
TW_API void tw_fill(void *to, uint8_t value, uint32_t count)
{
    uint8_t *out = (uint8_t *)to;
    const uint64_t eight = 0x0101010101010101ull * value;
    for (; count >= 8; count -= 8, out += 8)
        __builtin_memcpy(out, &eight, 8);
    for (; count; count--)
        *out++ = value;
}

/* Returns 1 if the first `count` bytes are equal, else 0. */
TW_API int tw_equal(const void *left, const void *right, uint32_t count)
{
    const uint8_t *a = (const uint8_t *)left, *b = (const uint8_t *)right;
    for (; count; count--)
        if (*a++ != *b++)
            return 0;
    return 1;
}

/* Returns the length of a text that ends in a zero byte. */
TW_API uint32_t tw_text_length(const char *text)
{
    uint32_t length = 0;
    while (text[length])
        length++;
    return length;
}

/* Little-endian loads and stores at any address. */
TW_API uint16_t tw_load16(const void *at) { uint16_t value; __builtin_memcpy(&value, at, 2); return value; }
TW_API uint32_t tw_load32(const void *at) { uint32_t value; __builtin_memcpy(&value, at, 4); return value; }
TW_API uint64_t tw_load64(const void *at) { uint64_t value; __builtin_memcpy(&value, at, 8); return value; }
TW_API void tw_store16(void *at, uint16_t value) { __builtin_memcpy(at, &value, 2); }
TW_API void tw_store32(void *at, uint32_t value) { __builtin_memcpy(at, &value, 4); }
TW_API void tw_store64(void *at, uint64_t value) { __builtin_memcpy(at, &value, 8); }

/* ---- The turn --------------------------------------------------------------------------------------------------- */

/* Returns the tick this turn belongs to. Units: ticks. */
TW_API uint64_t tw_tick(void) { return tw_ctx.tick; }

/* Returns the number of this agent in the run. */
TW_API uint32_t tw_self(void) { return tw_ctx.agent; }

/* Returns this turn's seed, drawn from the run's seed, the agent and the tick. */
TW_API uint64_t tw_seed(void) { return tw_ctx.seed; }

/* Returns the instructions this turn may use. Units: fuel. It is the bound at the turn's start and does not count down. */
TW_API uint64_t tw_fuel(void) { return tw_ctx.fuel; }

/* Returns the tick's wall-clock sample, or 0 without the `clock` capability. Units: microseconds since 1970. */
TW_API uint64_t tw_wall_us(void) { return tw_ctx.wall_us; }

/* Returns 64 random bits. Order: the stream starts anew with each turn's seed.
 * Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
TW_API uint64_t tw_random(void)
{
    uint64_t mixed;
    if (tw_stream_.seed != tw_ctx.seed || tw_stream_.tick != tw_ctx.tick) {
        tw_stream_.seed = tw_stream_.state = tw_ctx.seed;
        tw_stream_.tick = tw_ctx.tick;
    }
    mixed = (tw_stream_.state += 0x9e3779b97f4a7c15ull);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
    return mixed ^ (mixed >> 31);
}

/* Returns a random number from 0 to `bound` - 1, each equally likely; 0 for a bound of 0. */
TW_API uint32_t tw_random_below(uint32_t bound)
{
    const uint32_t least = bound ? (0u - bound) % bound : 0;
    uint64_t product;
    do
        product = (tw_random() >> 32) * bound;
    while ((uint32_t)product < least);
    return (uint32_t)(product >> 32);
}

/* ---- Reading frames --------------------------------------------------------------------------------------------- */

/* Returns the body of a frame, at an address that is a multiple of 8. */
TW_API const uint8_t *tw_body(const tw_frame *frame) { return (const uint8_t *)(frame + 1); }

/* Returns the length of a frame's body. Units: bytes. */
TW_API uint32_t tw_length(const tw_frame *frame)
{
    return frame->size > sizeof(tw_frame) ? frame->size - (uint32_t)sizeof(tw_frame) : 0;
}

/* Returns the frame that starts at `offset` of the inbox and moves `offset` behind it; NULL at the end or where a size does not fit. */
TW_API const tw_frame *tw_next(uint32_t *offset)
{
    const uint32_t end = tw_ctx.in_len, at = *offset;
    const tw_frame *frame = (const tw_frame *)(tw_inbox + at);
    if (end > TW_INBOX_BYTES || at > end || end - at < sizeof(tw_frame))
        return NULL;
    if (frame->size < sizeof(tw_frame) || frame->size > end - at)
        return NULL;
    *offset = at + ((frame->size + 7) & ~7u);
    return frame;
}

/* Returns the refusal a TW_ERROR frame tells (a negative code), or 0 for a frame of another kind. */
TW_API int32_t tw_error_code(const tw_frame *frame)
{
    return frame->kind == TW_ERROR && tw_length(frame) >= 4 ? (int32_t)tw_load32(tw_body(frame)) : 0;
}

/* Returns the kind of the frame that a TW_ERROR frame is about, or 0. */
TW_API uint32_t tw_error_kind(const tw_frame *frame)
{
    return frame->kind == TW_ERROR && tw_length(frame) >= 8 ? tw_load32(tw_body(frame) + 4) : 0;
}

/* What a TW_WINDOW_EPOCH frame tells. The content itself lies in the window's region. */
typedef struct tw_epoch {
    uint64_t epoch;  /* Counts the ticks in which the window changed. */
    uint64_t size;   /* Bytes that are valid from the region's start; of a ring, all that were ever written. */
    uint64_t offset; /* What is new begins here and has `length` bytes. */
    uint64_t length;
} tw_epoch;

TW_STATIC_ASSERT(sizeof(tw_epoch) == 32, "a window's epoch is 32 bytes");

/* Reads a TW_WINDOW_EPOCH frame. Returns 1, or 0 for a frame of another kind. */
TW_API int tw_read_epoch(const tw_frame *frame, tw_epoch *epoch)
{
    if (frame->kind != TW_WINDOW_EPOCH || tw_length(frame) < sizeof(tw_epoch))
        return 0;
    __builtin_memcpy(epoch, tw_body(frame), sizeof(tw_epoch));
    return 1;
}

/* ---- Writing frames --------------------------------------------------------------------------------------------- */

/* Returns how long a body the next frame may have. Units: bytes; 0 also where not even a header fits. */
TW_API uint32_t tw_room(void)
{
    const uint32_t used = tw_ctx.out_len + (uint32_t)sizeof(tw_frame);
    return used < TW_OUTBOX_BYTES ? TW_OUTBOX_BYTES - used : 0;
}

/* Starts a frame whose body is written in place.
 * Returns where to write `length` bytes, or NULL where they do not fit. The frame is in the outbox when tw_end is called;
 * without that nothing happened. */
TW_API uint8_t *tw_begin(uint32_t length)
{
    const uint32_t used = tw_ctx.out_len;
    if (used > TW_OUTBOX_BYTES - sizeof(tw_frame) || length > TW_OUTBOX_BYTES - sizeof(tw_frame) - used)
        return NULL;
    return tw_outbox + used + sizeof(tw_frame);
}

/* Ends the frame that tw_begin started: `length` bytes of body, at most as many as were asked for. */
TW_API void tw_end(uint16_t kind, uint16_t encoding, uint32_t destination, uint32_t length)
{
    uint8_t *at = tw_outbox + tw_ctx.out_len;
    const uint32_t size = (uint32_t)sizeof(tw_frame) + length, padded = (size + 7) & ~7u;
    tw_frame *frame = (tw_frame *)at;
    frame->size = size;
    frame->kind = kind;
    frame->encoding = encoding;
    frame->source = tw_ctx.agent;
    frame->destination = destination;
    frame->seq = tw_ctx.out_count;
    frame->tick = tw_ctx.tick;
    for (uint32_t place = size; place < padded; place++)
        at[place] = 0;
    tw_ctx.out_len += padded;
    tw_ctx.out_count++;
}

/* Writes one frame. All calls below go through it and return what it returns.
 * Returns TW_OK; TW_OUTBOX_FULL where it does not fit any more (nothing is written); TW_TOO_BIG where it would not fit into an
 * empty outbox either. */
TW_API int32_t tw_write(uint16_t kind, uint16_t encoding, uint32_t destination, const void *body, uint32_t length)
{
    uint8_t *at = tw_begin(length);
    if (!at)
        return length > TW_OUTBOX_BYTES - sizeof(tw_frame) ? TW_TOO_BIG : TW_OUTBOX_FULL;
    tw_copy(at, body, length);
    tw_end(kind, encoding, destination, length);
    return TW_OK;
}

/* Sends a body to the agent that stands at `handle` in the manifest's `send` list. It arrives in the next tick. */
TW_API int32_t tw_send(uint32_t handle, uint16_t encoding, const void *body, uint32_t length)
{
    return tw_write(TW_SEND, encoding, handle, body, length);
}

/* Sends a body to the agent of that number, which the `send` list must allow. */
TW_API int32_t tw_send_to(uint32_t agent, uint16_t encoding, const void *body, uint32_t length)
{
    return tw_write(TW_SEND, encoding, TW_RAW_AGENT | agent, body, length);
}

/* Answers the agent that sent `message`. Returns TW_NOT_FOUND where no agent sent it. */
TW_API int32_t tw_reply(const tw_frame *message, uint16_t encoding, const void *body, uint32_t length)
{
    if (message->source & TW_RAW_AGENT)
        return TW_NOT_FOUND;
    return tw_send_to(message->source, encoding, body, length);
}

/* Publishes a body on the topic that stands at `handle` in the manifest's `publish` list. */
TW_API int32_t tw_publish(uint32_t handle, uint16_t encoding, const void *body, uint32_t length)
{
    return tw_write(TW_PUBLISH, encoding, handle, body, length);
}

/* As tw_publish, and the topic keeps the body as its value; it arrives as a TW_RETAINED frame, also at whoever joins later. A topic
 * has one value: of several writes in one tick, the last in slot order wins and the others are recorded as lost. */
TW_API int32_t tw_publish_retained(uint32_t handle, uint16_t encoding, const void *body, uint32_t length)
{
    return tw_write(TW_PUBLISH_RETAINED, encoding, handle, body, length);
}

/* Subscribes to the topic that stands at `handle` in the manifest's `subscribe` list. */
TW_API int32_t tw_join(uint32_t handle) { return tw_write(TW_JOIN, TW_BYTES, handle, NULL, 0); }

/* Ends the subscription to the topic that stands at `handle` in the manifest's `subscribe` list. */
TW_API int32_t tw_leave(uint32_t handle) { return tw_write(TW_LEAVE, TW_BYTES, handle, NULL, 0); }

/* Asks for a TW_TIMER_FIRED frame that carries `tag`. Units: `delay` in ticks; 0 counts as 1. */
TW_API int32_t tw_timer(uint32_t tag, uint64_t delay) { return tw_write(TW_TIMER, TW_BYTES, tag, &delay, 8); }

/* Calls the skill that stands at `handle` in the manifest's `skills` list. The answer comes as TW_RESULT or TW_ERROR; answers of
 * one skill come in the order of its calls where the world's ordering is "issue". */
TW_API int32_t tw_call(uint32_t handle, uint16_t encoding, const void *body, uint32_t length)
{
    return tw_write(TW_SKILL, encoding, handle, body, length);
}

/* Asks the model that stands at `handle` in the manifest's `models` list. The answer comes as TW_RESULT or TW_ERROR whose
 * destination is TW_MODEL | handle. */
TW_API int32_t tw_infer(uint32_t handle, uint16_t encoding, const void *body, uint32_t length)
{
    return tw_write(TW_INFER, encoding, handle, body, length);
}

/* Asks a model for what lies in a window the agent writes or reads: `length` bytes of tensors at `offset`, as the window is when the
 * tick is over. */
TW_API int32_t tw_infer_window(uint32_t handle, uint32_t window, uint64_t offset, uint64_t length)
{
    const struct { uint32_t window, zero; uint64_t offset, length; } place = {window, 0, offset, length};
    return tw_write(TW_INFER, TW_IN_WINDOW, handle, &place, sizeof place);
}

/* Makes bytes of a window's region the window's content when the tick is committed. `handle` is the window's place in the
 * manifest's `windows` list and in TW_WINDOWS. Of a frame window the bytes [0, length) become its content and `offset` is 0; to a
 * ring or a log the bytes [offset, offset + length) of the region are added. */
TW_API int32_t tw_window_write(uint32_t handle, uint64_t offset, uint64_t length)
{
    uint8_t body[48]; /* Ends with room for a digest, which the host fills in. */
    tw_fill(body, 0, sizeof body);
    tw_store64(body, offset);
    tw_store64(body + 8, length);
    return tw_write(TW_WINDOW_WRITE, TW_BYTES, handle, body, sizeof body);
}

/* Starts an agent from the template that stands at `handle` in the manifest's `spawn` list; `config` is its configuration. */
TW_API int32_t tw_spawn(uint32_t handle, uint16_t encoding, const void *config, uint32_t length)
{
    return tw_write(TW_SPAWN, encoding, handle, config, length);
}

/* Ends this agent after the turn. Its outbox still counts. */
TW_API int32_t tw_exit(void) { return tw_write(TW_EXIT, TW_BYTES, 0, NULL, 0); }

/* Leaves a line of text for a person. Units: `length` in bytes of UTF-8. */
TW_API int32_t tw_log(const char *text, uint32_t length) { return tw_write(TW_LOG, TW_BYTES, 0, text, length); }

/* As tw_log, for a text that ends in a zero byte. */
TW_API int32_t tw_log_text(const char *text) { return tw_log(text, tw_text_length(text)); }

/* Plans a task: the agent at `handle` of the `send` list gets `body` as a TW_TASK_READY frame once all tasks of `after` are done.
 * `tag` names the task to its owner; `after` holds the tags of `after_count` tasks this agent planned earlier.
 * A higher `priority` goes first. Errors: TW_TOO_BIG, TW_OUTBOX_FULL. */
TW_API int32_t tw_task(uint32_t handle, uint32_t tag, int32_t priority, const uint32_t *after, uint32_t after_count,
                       const void *body, uint32_t length)
{
    uint8_t *at;
    uint32_t fixed;
    if (after_count > TW_OUTBOX_BYTES / 4)
        return TW_TOO_BIG;
    fixed = (16 + 4 * after_count + 7) & ~7u;
    if (length > TW_OUTBOX_BYTES || fixed + length > TW_OUTBOX_BYTES - sizeof(tw_frame))
        return TW_TOO_BIG;
    at = tw_begin(fixed + length);
    if (!at)
        return TW_OUTBOX_FULL;
    tw_fill(at, 0, fixed);
    tw_store32(at, (uint32_t)priority);
    tw_store32(at + 4, tag);
    tw_store32(at + 8, after_count);
    for (uint32_t index = 0; index < after_count; index++)
        tw_store32(at + 16 + 4 * index, after[index]);
    tw_copy(at + fixed, body, length);
    tw_end(TW_TASK, TW_BYTES, handle, fixed + length);
    return TW_OK;
}

/* ---- Numbers and text ------------------------------------------------------------------------------------------- */

/* Returns the largest whole number whose square is not above `value`. */
TW_API uint32_t tw_root(uint64_t value)
{
    uint64_t root = 0;
    for (uint64_t bit = 1ull << 62; bit; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint32_t)root;
}

/* Reads a decimal number as a whole number of 10^-`decimals`: "-3.25" with 3 decimals gives -3250.
 * Digits beyond `decimals` are cut off. Integers only, so every machine reads the same number.
 * Returns TW_OK; TW_NOT_FOUND for an empty text; TW_BAD_MESSAGE for anything that is no such number or beyond about 9.2 * 10^17 of them. */
TW_API int32_t tw_parse_fixed(const uint8_t *text, uint32_t length, uint32_t decimals, int64_t *value)
{
    const int64_t most = (INT64_MAX - 9) / 10; /* Above it, one more digit might not fit. */
    uint32_t at = 0, digits = 0, after = 0;
    int negative = 0, point = 0;
    int64_t total = 0;
    if (!length)
        return TW_NOT_FOUND;
    if (text[0] == '-' || text[0] == '+') {
        negative = text[0] == '-';
        at = 1;
    }
    for (; at < length; at++) {
        const uint8_t sign = text[at];
        if (sign == '.' && !point) {
            point = 1;
            continue;
        }
        if (sign < '0' || sign > '9')
            return TW_BAD_MESSAGE;
        digits++;
        if (point && after == decimals)
            continue;
        after += (uint32_t)point;
        if (total > most)
            return TW_BAD_MESSAGE;
        total = total * 10 + (sign - '0');
    }
    for (; after < decimals; after++) {
        if (total > most)
            return TW_BAD_MESSAGE;
        total *= 10;
    }
    if (!digits)
        return TW_BAD_MESSAGE;
    *value = negative ? -total : total;
    return TW_OK;
}

/* Reads a whole number. Returns what tw_parse_fixed returns. */
TW_API int32_t tw_parse_whole(const uint8_t *text, uint32_t length, int64_t *value)
{
    for (uint32_t at = 0; at < length; at++)
        if (text[at] == '.')
            return TW_BAD_MESSAGE;
    return tw_parse_fixed(text, length, 0, value);
}

/* A separated line being read, field by field. */
typedef struct tw_line {
    const uint8_t *at;
    const uint8_t *end;
    int done;
} tw_line;

/* Starts to read a line of fields without quoting. */
TW_API tw_line tw_line_of(const uint8_t *text, uint32_t length)
{
    tw_line line = {text, text + length, 0};
    return line;
}

/* Gives the next field up to `separator`. Returns 1, or 0 when the line has no more. An empty field has length 0. */
TW_API int tw_field(tw_line *line, uint8_t separator, const uint8_t **field, uint32_t *length)
{
    const uint8_t *at = line->at;
    if (line->done)
        return 0;
    while (at < line->end && *at != separator)
        at++;
    *field = line->at;
    *length = (uint32_t)(at - line->at);
    line->done = at == line->end;
    line->at = line->done ? at : at + 1;
    return 1;
}

/* A text being written into a buffer of fixed size. What does not fit is cut off and `cut` is set. */
typedef struct tw_text {
    char *at;
    uint32_t length;
    uint32_t capacity;
    int cut;
} tw_text;

/* Starts a text in a buffer of `capacity` bytes. */
TW_API tw_text tw_text_in(char *buffer, uint32_t capacity)
{
    tw_text text = {buffer, 0, capacity, 0};
    return text;
}

/* Adds `length` bytes. */
TW_API void tw_add(tw_text *text, const char *piece, uint32_t length)
{
    if (length > text->capacity - text->length) {
        length = text->capacity - text->length;
        text->cut = 1;
    }
    tw_copy(text->at + text->length, piece, length);
    text->length += length;
}

/* Adds a text that ends in a zero byte. */
TW_API void tw_add_text(tw_text *text, const char *piece) { tw_add(text, piece, tw_text_length(piece)); }

/* Adds a whole number of 10^-`decimals` as a decimal number: -3250 with 3 decimals gives "-3.250". `decimals` is at most 18. */
TW_API void tw_add_fixed(tw_text *text, int64_t value, uint32_t decimals)
{
    char buffer[24];
    uint32_t at = sizeof buffer, digits = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (decimals > 18)
        decimals = 18;
    do {
        if (digits && digits == decimals)
            buffer[--at] = '.';
        buffer[--at] = (char)('0' + rest % 10);
        rest /= 10;
        digits++;
    } while (rest || digits <= decimals);
    if (value < 0)
        buffer[--at] = '-';
    tw_add(text, buffer + at, (uint32_t)sizeof buffer - at);
}

/* Adds a whole number. */
TW_API void tw_add_whole(tw_text *text, int64_t value) { tw_add_fixed(text, value, 0); }

/* Leaves a measurement for a person: the frame's body is NAME=VALUE. Errors: TW_TOO_BIG for a name above 95 bytes. */
TW_API int32_t tw_metric(const char *name, int64_t value)
{
    char buffer[128];
    tw_text text = tw_text_in(buffer, sizeof buffer);
    if (tw_text_length(name) > 95)
        return TW_TOO_BIG;
    tw_add_text(&text, name);
    tw_add(&text, "=", 1);
    tw_add_whole(&text, value);
    return tw_write(TW_METRIC, TW_BYTES, 0, buffer, text.length);
}

/* ---- Configuration ---------------------------------------------------------------------------------------------- */

/* Returns the offset behind the JSON text (in quotes) that starts at `at`, or `length` where it does not end. */
TW_API uint32_t tw_json_skip_text(const uint8_t *json, uint32_t length, uint32_t at)
{
    for (at++; at < length && json[at] != '"'; at++)
        if (json[at] == '\\')
            at++;
    return at < length ? at + 1 : length;
}

/* Returns the offset behind the JSON value that starts at `at`. */
TW_API uint32_t tw_json_skip(const uint8_t *json, uint32_t length, uint32_t at)
{
    uint32_t depth = 0;
    while (at < length) {
        const uint8_t sign = json[at];
        if (!depth && (sign == ',' || sign == '}' || sign == ']'))
            return at;
        if (sign == '"') {
            at = tw_json_skip_text(json, length, at);
            continue;
        }
        if (sign == '{' || sign == '[')
            depth++;
        if (sign == '}' || sign == ']')
            depth--;
        at++;
    }
    return at;
}

/* Finds a key of the outermost object of canonical JSON, which is what configurations are (no spaces between tokens).
 * Keys are compared as written, so a key with an escape is not found.
 * Returns TW_OK with the value's bytes (a text without its quotes), or TW_NOT_FOUND. */
TW_API int32_t tw_json_find(const uint8_t *json, uint32_t length, const char *key, const uint8_t **value, uint32_t *size)
{
    const uint32_t wanted = tw_text_length(key);
    uint32_t at = 1;
    if (!length || json[0] != '{')
        return TW_NOT_FOUND;
    while (at < length && json[at] == '"') {
        const uint32_t start = at + 1, end = tw_json_skip_text(json, length, at);
        const uint32_t from = end + 1, to = tw_json_skip(json, length, from);
        if (from > to || to > length)
            return TW_NOT_FOUND;
        if (end - 1 - start == wanted && tw_equal(json + start, key, wanted)) {
            const uint32_t quoted = to - from >= 2 && json[from] == '"';
            *value = json + from + quoted;
            *size = to - from - 2 * quoted;
            return TW_OK;
        }
        at = to + 1;
    }
    return TW_NOT_FOUND;
}

/* Returns the whole number under `key` of a configuration, or `otherwise` where there is none. */
TW_API int64_t tw_config_whole(const tw_frame *config, const char *key, int64_t otherwise)
{
    const uint8_t *value;
    uint32_t size;
    int64_t number;
    if (tw_json_find(tw_body(config), tw_length(config), key, &value, &size) || tw_parse_whole(value, size, &number))
        return otherwise;
    return number;
}

/* Returns 1 and the text under `key` of a configuration as it is written (escapes stay), or 0. It is valid while init runs. */
TW_API int tw_config_text(const tw_frame *config, const char *key, const uint8_t **text, uint32_t *length)
{
    return tw_json_find(tw_body(config), tw_length(config), key, text, length) == TW_OK;
}

/* ---- Tensors ---------------------------------------------------------------------------------------------------- */

/* Types of a tensor's elements, the codes of ONNX. */
enum {
    TW_FLOAT32 = 1,
    TW_UINT8 = 2,
    TW_INT8 = 3,
    TW_UINT16 = 4,
    TW_INT16 = 5,
    TW_INT32 = 6,
    TW_INT64 = 7,
    TW_STRING = 8, /* Each element a u32 length and that many bytes of UTF-8. */
    TW_BOOL = 9,
    TW_FLOAT16 = 10,
    TW_FLOAT64 = 11,
    TW_UINT32 = 12,
    TW_UINT64 = 13,
    TW_COMPLEX64 = 14,
    TW_COMPLEX128 = 15,
    TW_BFLOAT16 = 16,
    TW_FLOAT8E4M3FN = 17,
    TW_FLOAT8E4M3FNUZ = 18,
    TW_FLOAT8E5M2 = 19,
    TW_FLOAT8E5M2FNUZ = 20,
    TW_UINT4 = 21, /* Types of less than a byte are packed, the first element in the low bits. */
    TW_INT4 = 22,
    TW_FLOAT4E2M1 = 23,
    TW_FLOAT8E8M0 = 24,
    TW_UINT2 = 25,
    TW_INT2 = 26
};

#define TW_RANK_MOST 32

/* A tensor. It owns nothing: of one that was read, everything lies in the frame, `shape` and `data` at multiples of 8. */
typedef struct tw_tensor {
    const char *name; /* Of the model's input or output, without a zero byte at its end. */
    uint32_t name_length; /* 0 for the input or output at the tensor's place. */
    uint16_t dtype;
    uint16_t rank;
    const int64_t *shape; /* `rank` numbers. */
    const void *data; /* Row by row, without gaps. */
    uint32_t length; /* Of the data. Units: bytes. */
} tw_tensor;

/* Returns the bits of one element; 0 for TW_STRING and for what is no type. */
TW_API uint32_t tw_dtype_bits(uint16_t dtype)
{
    static const uint8_t bits[] = {0, 32, 8, 8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64, 64, 128, 16, 8, 8, 8, 8, 4, 4, 4, 8, 2, 2};
    return dtype < sizeof bits ? bits[dtype] : 0;
}

/* Returns the elements of a shape, 1 for a scalar; -1 where a dimension is below 0 or the elements are more than 2^31 - 1. */
TW_API int64_t tw_elements(const int64_t *shape, uint32_t rank)
{
    int64_t count = 1;
    int large = 0;
    for (uint32_t axis = 0; axis < rank; axis++) {
        if (shape[axis] < 0)
            return -1;
        if (!shape[axis])
            count = 0;
        if (count && (large || shape[axis] > INT32_MAX / count))
            large = 1;
        else
            count *= shape[axis];
    }
    return large && count ? -1 : count;
}

/* Returns a tensor whose data is as long as its type and shape say; its length is 0xffffffff, which fits nowhere, where they say
 * nothing that could be. `name` may be NULL. Not for TW_STRING: set the members yourself. */
TW_API tw_tensor tw_tensor_of(const char *name, uint16_t dtype, const int64_t *shape, uint16_t rank, const void *data)
{
    const int64_t count = rank > TW_RANK_MOST ? -1 : tw_elements(shape, rank);
    const uint32_t bits = tw_dtype_bits(dtype);
    tw_tensor tensor = {name, name ? tw_text_length(name) : 0, dtype, rank, shape, data, 0xffffffffu};
    if (count >= 0 && bits && ((uint64_t)count * bits + 7) / 8 <= INT32_MAX)
        tensor.length = (uint32_t)(((uint64_t)count * bits + 7) / 8);
    return tensor;
}

/* Returns how many bytes a tensor takes in a body, or 0xffffffff where that is no number that could fit. */
TW_API uint32_t tw_tensor_bytes(const tw_tensor *tensor)
{
    const uint64_t size = 16 + 8ull * tensor->rank + ((tensor->name_length + 7ull) & ~7ull) + ((tensor->length + 7ull) & ~7ull);
    return tensor->rank > TW_RANK_MOST || size > INT32_MAX ? 0xffffffffu : (uint32_t)size;
}

/* Writes a tensor where tw_tensor_bytes(tensor) bytes are free, at a multiple of 8: into a window's region, or into the place
 * tw_begin gave. Returns where the next one goes. */
TW_API uint8_t *tw_put_tensor(uint8_t *at, const tw_tensor *tensor)
{
    const uint32_t named = (tensor->name_length + 7) & ~7u, filled = (tensor->length + 7) & ~7u;
    tw_store16(at, tensor->dtype);
    tw_store16(at + 2, tensor->rank);
    tw_store32(at + 4, tensor->name_length);
    tw_store64(at + 8, tensor->length);
    at += 16;
    tw_copy(at, tensor->shape, 8u * tensor->rank);
    at += 8 * tensor->rank;
    tw_copy(at, tensor->name, tensor->name_length);
    tw_fill(at + tensor->name_length, 0, named - tensor->name_length);
    at += named;
    tw_copy(at, tensor->data, tensor->length);
    tw_fill(at + tensor->length, 0, filled - tensor->length);
    return at + filled;
}

/* Asks the model at `handle` of the manifest's `models` list for its outputs on `count` tensors, one for each input.
 * Returns as tw_write. */
TW_API int32_t tw_infer_tensors(uint32_t handle, const tw_tensor *tensors, uint32_t count)
{
    uint32_t size = 0;
    uint8_t *at;
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t more = tw_tensor_bytes(tensors + index);
        if (more > TW_OUTBOX_BYTES - sizeof(tw_frame) || size + more > TW_OUTBOX_BYTES - sizeof(tw_frame))
            return TW_TOO_BIG;
        size += more;
    }
    at = tw_begin(size);
    if (!at)
        return TW_OUTBOX_FULL;
    for (uint32_t index = 0; index < count; index++)
        at = tw_put_tensor(at, tensors + index);
    tw_end(TW_INFER, TW_TENSOR, handle, size);
    return TW_OK;
}

/* As tw_infer_tensors for a model with one input: `shape` has `rank` dimensions, `data` all its elements. */
TW_API int32_t tw_infer_tensor(uint32_t handle, uint16_t dtype, const int64_t *shape, uint16_t rank, const void *data)
{
    const tw_tensor tensor = tw_tensor_of(NULL, dtype, shape, rank, data);
    return tw_infer_tensors(handle, &tensor, 1);
}

/* Reads the tensor that stands at `offset` of `body` and moves `offset` behind it. `body` lies at a multiple of 8.
 * Returns TW_OK; TW_NOT_FOUND at the end; TW_BAD_MESSAGE for what is no tensor, or one whose data is not what its type and shape
 * say. The texts of a TW_STRING are not looked at. */
TW_API int32_t tw_read_tensor(const uint8_t *body, uint32_t length, uint32_t *offset, tw_tensor *tensor)
{
    const uint8_t *at = body + *offset;
    const uint32_t left = *offset < length ? length - *offset : 0;
    uint64_t start, data;
    tw_tensor said;
    if (!left)
        return TW_NOT_FOUND;
    if (left < 16 || tw_load16(at + 2) > TW_RANK_MOST)
        return TW_BAD_MESSAGE;
    said.dtype = tw_load16(at);
    said.rank = tw_load16(at + 2);
    said.name_length = tw_load32(at + 4);
    data = tw_load64(at + 8);
    start = 16 + 8ull * said.rank + ((said.name_length + 7ull) & ~7ull);
    if (start > left || data > left - start)
        return TW_BAD_MESSAGE;
    said.shape = (const int64_t *)(const void *)(at + 16);
    said.name = (const char *)at + 16 + 8 * said.rank;
    said.data = at + start;
    said.length = (uint32_t)data;
    if (said.dtype != TW_STRING && tw_tensor_of(NULL, said.dtype, said.shape, said.rank, said.data).length != said.length)
        return TW_BAD_MESSAGE;
    *tensor = said;
    data = (start + data + 7) & ~7ull;
    *offset += data > left ? left : (uint32_t)data;
    return TW_OK;
}

/* Reads the tensor of that name from a model's answer, a TW_RESULT; of one without names, NULL means the first.
 * Returns TW_OK; TW_NOT_FOUND; TW_BAD_MESSAGE for a frame that is not of tensors. */
TW_API int32_t tw_result_tensor(const tw_frame *result, const char *name, tw_tensor *tensor)
{
    const uint32_t length = name ? tw_text_length(name) : 0;
    uint32_t offset = 0;
    if (result->encoding != TW_TENSOR)
        return TW_BAD_MESSAGE;
    for (;;) {
        const int32_t code = tw_read_tensor(tw_body(result), tw_length(result), &offset, tensor);
        if (code || !name || (tensor->name_length == length && tw_equal(tensor->name, name, length)))
            return code;
    }
}

/* ---- Exports ---------------------------------------------------------------------------------------------------- */

TW_API void tw_open_outbox(void)
{
    tw_ctx.out_len = 0;
    tw_ctx.out_count = 0;
}

typedef int32_t (*tw_receiver)(const tw_frame *message);
typedef int32_t (*tw_stepper)(const tw_context *context);

/* Hands every frame of the inbox to `receive`, then calls `step`; this is what tw_turn does.
 * A negative code ends the turn at once, save TW_OUTBOX_FULL from `receive`: then the remaining messages are still delivered, so
 * that each is seen exactly once, and the turn ends with TW_OUTBOX_FULL unless `step` fails. */
TW_API int32_t tw_run_turn(tw_receiver receive, tw_stepper step)
{
    uint32_t offset = 0;
    int32_t code, full = 0;
    const tw_frame *message;
    while ((message = tw_next(&offset))) {
        code = receive(message);
        if (code == TW_OUTBOX_FULL)
            full = 1;
        else if (code < 0)
            return code;
    }
    code = step(&tw_ctx);
    return full && code >= 0 ? TW_OUTBOX_FULL : code;
}

/* A compiler may call these on its own; a C library, where there is one, has them. */
#if __STDC_HOSTED__
#define TW_BYTE_FUNCTIONS
#else
#define TW_BYTE_FUNCTIONS                                                                                              \
    void *memcpy(void *to, const void *from, size_t count)                                                             \
    {                                                                                                                  \
        tw_copy(to, from, (uint32_t)count);                                                                            \
        return to;                                                                                                     \
    }                                                                                                                  \
    void *memmove(void *to, const void *from, size_t count)                                                            \
    {                                                                                                                  \
        uint8_t *out = (uint8_t *)to;                                                                                  \
        const uint8_t *in = (const uint8_t *)from;                                                                     \
        if (out <= in || out >= in + count) {                                                                          \
            for (size_t at = 0; at < count; at++)                                                                      \
                out[at] = in[at];                                                                                      \
        } else {                                                                                                       \
            while (count--)                                                                                            \
                out[count] = in[count];                                                                                \
        }                                                                                                              \
        return to;                                                                                                     \
    }                                                                                                                  \
    void *memset(void *to, int value, size_t count)                                                                    \
    {                                                                                                                  \
        tw_fill(to, (uint8_t)value, (uint32_t)count);                                                                  \
        return to;                                                                                                     \
    }                                                                                                                  \
    int memcmp(const void *left, const void *right, size_t count)                                                      \
    {                                                                                                                  \
        const uint8_t *a = (const uint8_t *)left, *b = (const uint8_t *)right;                                         \
        for (; count; count--, a++, b++)                                                                               \
            if (*a != *b)                                                                                              \
                return *a < *b ? -1 : 1;                                                                               \
        return 0;                                                                                                      \
    }
#endif

/* Constructors of globals in C++ run once, when the module begins. Unasked, the linker would run them before every call. With the
 * C library, its own start does this. */
#if defined(__cplusplus) && !defined(__wasi__)
TW_BEGIN_C
void __wasm_call_ctors(void);
TW_END_C
#define TW_CONSTRUCTORS TW_EXPORT("_initialize") void tw_export_initialize(void) { __wasm_call_ctors(); }
#else
#define TW_CONSTRUCTORS
#endif

/* Defines the regions and the exports of the ABI.
 *   init(config)      once, with the configuration frame (body empty where there is none)
 *   receive(message)  each frame of the mailbox cut, in order
 *   step(context)     after the messages; returns ticks to sleep, TW_AGAIN, TW_UNTIL_MESSAGE or a negative code
 *   shutdown()        the last turn; its outbox still counts */
#define TW_AGENT(init, receive, step, shutdown)                                                                        \
    TW_BEGIN_C                                                                                                         \
    TW_CONSTRUCTORS                                                                                                    \
    __attribute__((aligned(16))) uint8_t tw_inbox[TW_INBOX_BYTES];                                                     \
    __attribute__((aligned(16))) uint8_t tw_outbox[TW_OUTBOX_BYTES];                                                   \
    __attribute__((aligned(16))) tw_context tw_ctx;                                                                    \
    tw_descriptor tw_descriptor_;                                                                                      \
    tw_stream tw_stream_;                                                                                              \
    TW_EXPORT("tw_desc") tw_descriptor *tw_desc(void)                                                                  \
    {                                                                                                                  \
        const tw_descriptor made = {{'T', 'W', 'A', '1'},                                                              \
                                    TW_ABI_MAJOR,                                                                      \
                                    TW_ABI_MINOR,                                                                      \
                                    (uint32_t)(uintptr_t)tw_inbox,                                                     \
                                    TW_INBOX_BYTES,                                                                    \
                                    (uint32_t)(uintptr_t)tw_outbox,                                                    \
                                    TW_OUTBOX_BYTES,                                                                   \
                                    (uint32_t)(uintptr_t)&tw_ctx,                                                      \
                                    1};                                                                                \
        tw_descriptor_ = made;                                                                                         \
        return &tw_descriptor_;                                                                                        \
    }                                                                                                                  \
    TW_EXPORT("agent_init") int32_t tw_export_init(void)                                                               \
    {                                                                                                                  \
        static const tw_frame none = {sizeof(tw_frame), TW_CONFIG, TW_BYTES, TW_OUTSIDE, TW_DIRECT, 0, 0};             \
        uint32_t offset = 0;                                                                                           \
        const tw_frame *config = tw_next(&offset);                                                                     \
        tw_open_outbox();                                                                                              \
        return init(config ? config : &none);                                                                          \
    }                                                                                                                  \
    TW_EXPORT("agent_receive") int32_t tw_export_receive(const tw_frame *message) { return receive(message); }         \
    TW_EXPORT("agent_step") int32_t tw_export_step(const tw_context *context) { return step(context); }                \
    TW_EXPORT("tw_turn") int32_t tw_turn(const tw_context *context)                                                    \
    {                                                                                                                  \
        (void)context;                                                                                                 \
        tw_open_outbox();                                                                                              \
        return tw_run_turn(receive, step);                                                                             \
    }                                                                                                                  \
    TW_EXPORT("agent_shutdown") int32_t tw_export_shutdown(void)                                                       \
    {                                                                                                                  \
        tw_open_outbox();                                                                                              \
        return shutdown();                                                                                             \
    }                                                                                                                  \
    TW_BYTE_FUNCTIONS                                                                                                  \
    TW_END_C

/* Defines the exports that carry the agent's state into another version of it. Stands beside TW_AGENT.
 *   save(to, capacity)  writes the state into `to`; returns its length, or a negative code (TW_TOO_BIG where it does not fit)
 *   load(from, length)  takes a state in a new instance, in place of init; returns TW_OK or a negative code
 * The state is the agent's own format: begin it with a version where it may change. Configuration that matters belongs into it. */
#define TW_AGENT_STATE(save, load)                                                                                     \
    TW_BEGIN_C                                                                                                         \
    TW_EXPORT("agent_save") int32_t tw_export_save(uint8_t *to, uint32_t capacity)                                     \
    {                                                                                                                  \
        tw_open_outbox();                                                                                              \
        return save(to, capacity);                                                                                     \
    }                                                                                                                  \
    TW_EXPORT("agent_load") int32_t tw_export_load(const uint8_t *from, uint32_t length)                               \
    {                                                                                                                  \
        tw_open_outbox();                                                                                              \
        return load(from, length);                                                                                     \
    }                                                                                                                  \
    TW_END_C

/* One region that holds a window's content, as TW_WINDOWS lists them. */
typedef struct tw_window {
    void *at;
    uint32_t capacity;
} tw_window;

/* Defines the regions of the manifest's `windows`, one for each name, in their order:
 *     static uint8_t board[4096], prices[65536];
 *     TW_WINDOWS(TW_WINDOW(board), TW_WINDOW(prices)) */
#define TW_WINDOW(region) {(region), sizeof(region)}
#define TW_WINDOWS(...)                                                                                                \
    TW_BEGIN_C                                                                                                         \
    TW_EXPORT("tw_windows") const tw_window *tw_windows(void)                                                          \
    {                                                                                                                  \
        static const tw_window listed[] = {__VA_ARGS__};                                                               \
        return listed;                                                                                                 \
    }                                                                                                                  \
    TW_END_C

#endif
