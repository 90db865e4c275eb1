/* Calls the functions of tickwork.h that a message asks for and answers with what they gave. The first byte of a body is the call. */
#define TW_INBOX_BYTES 4096
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"

static int32_t filled_count, filled_code;
static int64_t configured;

static int32_t answer(const tw_frame *message, const void *body, uint32_t length)
{
    return tw_reply(message, TW_BYTES, body, length);
}

static int32_t answer_number(const tw_frame *message, int32_t code, int64_t value)
{
    uint8_t body[12];
    tw_store32(body, (uint32_t)code);
    tw_store64(body + 4, (uint64_t)value);
    return answer(message, body, sizeof body);
}

static int32_t parse(const tw_frame *message, const uint8_t *rest, uint32_t length)
{
    int64_t value = 0;
    const int32_t code = tw_parse_fixed(rest + 1, length - 1, rest[0], &value);
    return answer_number(message, code, value);
}

static int32_t format(const tw_frame *message, const uint8_t *rest)
{
    char buffer[32];
    tw_text text = tw_text_in(buffer, rest[9]);
    tw_add_fixed(&text, (int64_t)tw_load64(rest + 1), rest[0]);
    return answer(message, buffer, text.length);
}

/* rest: the key, a zero byte, the JSON. */
static int32_t find(const tw_frame *message, const uint8_t *rest, uint32_t length)
{
    const uint32_t key = tw_text_length((const char *)rest) + 1;
    const uint8_t *value;
    uint32_t size;
    if (tw_json_find(rest + key, length - key, (const char *)rest, &value, &size))
        return answer(message, "?", 1);
    return answer(message, value, size);
}

static int32_t draw(const tw_frame *message, uint32_t bound, uint32_t count)
{
    uint64_t drawn[64];
    for (uint32_t index = 0; index < count && index < 64; index++)
        drawn[index] = bound ? tw_random_below(bound) : tw_random();
    return answer(message, drawn, 8 * count);
}

static int32_t split(const tw_frame *message, const uint8_t *rest, uint32_t length)
{
    uint8_t lengths[64];
    uint32_t count = 0, size;
    const uint8_t *field;
    tw_line line = tw_line_of(rest, length);
    while (count < sizeof lengths && tw_field(&line, ',', &field, &size))
        lengths[count++] = (uint8_t)size;
    return answer(message, lengths, count);
}

static int32_t move(const tw_frame *message, const uint8_t *rest, uint32_t length)
{
    uint8_t bytes[64];
    tw_copy(bytes, rest + 3, length - 3);
    memmove(bytes + rest[0], bytes + rest[1], rest[2]);
    return answer(message, bytes, length - 3);
}

static int32_t fill(uint32_t length)
{
    static const uint8_t zeros[TW_OUTBOX_BYTES + 8] = {0};
    filled_count = 0;
    while ((filled_code = tw_publish(0, TW_BYTES, zeros, length)) == TW_OK)
        filled_count++;
    return TW_OK;
}

static int32_t write_all(const tw_frame *message)
{
    static const uint32_t after[] = {1, 2, 3};
    int32_t code = tw_send(4, TW_JSON, "{}", 2);
    code |= answer(message, "answer", 6);
    code |= tw_publish(1, TW_MSGPACK, "p", 1);
    code |= tw_publish_retained(2, TW_BYTES, "retained", 8);
    code |= tw_join(3) | tw_leave(4);
    code |= tw_timer(77, 5);
    code |= tw_task(1, 9, -2, after, 3, "task", 4);
    code |= tw_call(6, TW_MSGPACK, "\x80", 1);
    code |= tw_spawn(7, TW_JSON, "{}", 2);
    code |= tw_log_text("a line") | tw_metric("depth", -12);
    return code | tw_exit();
}

static int32_t init(const tw_frame *config)
{
    configured = tw_config_whole(config, "start", -1);
    return TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    const uint8_t *rest = tw_body(message) + 1;
    const uint32_t length = tw_length(message) - 1;
    if (message->kind == TW_ERROR)
        return tw_metric("refused", tw_error_code(message) * 1000 - (int64_t)tw_error_kind(message));
    switch (rest[-1]) {
    case 'p': return parse(message, rest, length);
    case 'f': return format(message, rest);
    case 'j': return find(message, rest, length);
    case 'd': return draw(message, tw_load32(rest), rest[4]);
    case 'r': return answer_number(message, 0, tw_root(tw_load64(rest)));
    case 'l': return split(message, rest, length);
    case 'm': return move(message, rest, length);
    case 'c': return answer_number(message, 0, configured);
    case 'w': return fill(tw_load32(rest));
    case 'W': return answer_number(message, filled_code, filled_count);
    case 'a': return write_all(message);
    case 't': return answer_number(message, (int32_t)tw_self(), (int64_t)tw_tick());
    case 'u': return answer_number(message, (int32_t)(tw_fuel() >> 32), (int64_t)tw_wall_us());
    case 'x': return (int32_t)tw_load32(rest);
    default: return TW_BAD_MESSAGE;
    }
}

static int32_t step(const tw_context *context)
{
    (void)context;
    return TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
