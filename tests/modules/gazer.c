/* Paints a window with numbers and asks a model for them, or reads the window another paints and asks for that.
 *
 * Configuration: {"paint": 1, "rows": 100}. With `paint` 1 each tick fills the region with one tensor of `rows` by 3 random
 * numbers, writes it as the window's content and asks for it in the same turn; with 0 it asks for what the writer has
 * announced. Of each answer and refusal it publishes the body on handle 0. */
#define TW_INBOX_BYTES 4096
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"

enum { MOST_ROWS = 2000, REGION_BYTES = 64 + MOST_ROWS * 12 };

static uint8_t region[REGION_BYTES] __attribute__((aligned(8)));
static float numbers[MOST_ROWS][3];
static int64_t paints, rows;

TW_WINDOWS({region, REGION_BYTES})

static int32_t init(const tw_frame *config)
{
    paints = tw_config_whole(config, "paint", 1);
    rows = tw_config_whole(config, "rows", 100);
    return rows < 1 || rows > MOST_ROWS ? TW_BAD_MESSAGE : TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    tw_epoch epoch;
    if (tw_read_epoch(message, &epoch))
        return tw_infer_window(0, 0, 0, epoch.size);
    if (message->kind == TW_RESULT || message->kind == TW_ERROR)
        return tw_publish(0, message->encoding, tw_body(message), tw_length(message));
    return TW_OK;
}

static int32_t step(const tw_context *context)
{
    const int64_t shape[2] = {rows, 3};
    const tw_tensor tensor = tw_tensor_of("x", TW_FLOAT32, shape, 2, numbers);
    const uint32_t length = tw_tensor_bytes(&tensor);
    if (!paints)
        return TW_UNTIL_MESSAGE;
    for (int64_t row = 0; row < rows; row++)
        for (int column = 0; column < 3; column++)
            numbers[row][column] = (float)(int32_t)tw_random_below(1000) / 8.0f;
    tw_put_tensor(region, &tensor);
    if (tw_window_write(0, 0, length) < 0 || tw_infer_window(0, 0, 0, length) < 0)
        return TW_FAILED;
    return context->tick < 9 ? 0 : TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
