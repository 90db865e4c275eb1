/* Plans a diamond of tasks at its start and tells on publish handle 0 which task it is given, and when.
 *
 * Configuration: {"plan": 1}; 0 only does the tasks of others. Handle 0 of `send` does the work: itself or another `tasks` agent.
 *
 *        1            Task 5 waits for nothing and has a higher priority. A task's payload is its tag, u32.
 *       / \
 *      2   3          Told: tag u32 as planned by the owner, payload u32, tick u64.
 *       \ /
 *        4
 */
#define TW_INBOX_BYTES 4096
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"

static int32_t plan(uint32_t tag, int32_t priority, const uint32_t *after, uint32_t count)
{
    return tw_task(0, tag, priority, after, count, &tag, sizeof tag);
}

static int32_t init(const tw_frame *config)
{
    static const uint32_t top[] = {1}, sides[] = {2, 3};
    int32_t code = TW_OK;
    if (!tw_config_whole(config, "plan", 1))
        return TW_OK;
    code = code ? code : plan(1, 0, NULL, 0);
    code = code ? code : plan(2, 0, top, 1);
    code = code ? code : plan(3, 0, top, 1);
    code = code ? code : plan(4, 0, sides, 2);
    return code ? code : plan(5, 9, NULL, 0);
}

static int32_t receive(const tw_frame *message)
{
    uint8_t body[16];
    if (message->kind != TW_TASK_READY || tw_length(message) < 4)
        return TW_OK;
    tw_store32(body, message->destination);
    tw_copy(body + 4, tw_body(message), 4);
    tw_store64(body + 8, tw_tick());
    return tw_publish(0, TW_BYTES, body, sizeof body);
}

static int32_t step(const tw_context *context)
{
    (void)context;
    return TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
