/* Spawns: each generation starts `children` agents of the next at its first turn, tells that it lives, and exits after `life` turns.
 *
 * Configuration: {"children": 2, "generations": 3, "life": 4}; life 0 stays. Spawn handle 0 is the template, the same module.
 * Tells on publish handle 0: generations left u32, agent u32. */
#define TW_INBOX_BYTES 4096
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"

static uint32_t generations, children, life, turns;

static int32_t init(const tw_frame *config)
{
    generations = (uint32_t)tw_config_whole(config, "generations", 1);
    children = (uint32_t)tw_config_whole(config, "children", 2);
    life = (uint32_t)tw_config_whole(config, "life", 0);
    return TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    (void)message;
    return TW_OK;
}

static int32_t spawn_next(void)
{
    char buffer[96];
    tw_text text = tw_text_in(buffer, sizeof buffer);
    tw_add_text(&text, "{\"children\":");
    tw_add_whole(&text, children);
    tw_add_text(&text, ",\"generations\":");
    tw_add_whole(&text, generations - 1);
    tw_add_text(&text, ",\"life\":");
    tw_add_whole(&text, life);
    tw_add_text(&text, "}");
    return tw_spawn(0, TW_JSON, buffer, text.length);
}

static int32_t step(const tw_context *context)
{
    uint8_t body[8];
    int32_t code;
    tw_store32(body, generations);
    tw_store32(body + 4, context->agent);
    code = tw_publish(0, TW_BYTES, body, sizeof body);
    if (++turns == 1 && generations)
        for (uint32_t child = 0; child < children && code == TW_OK; child++)
            code = spawn_next();
    if (life && turns >= life && code == TW_OK)
        code = tw_exit();
    return code == TW_OK ? 0 : code;
}

static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
