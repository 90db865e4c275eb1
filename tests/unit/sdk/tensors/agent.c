/* Reads tensors and asks with them, so that a test can compare languages. */
#include "tickwork.h"

#define MOST 64

/* Asks the model with the very tensors a message brings. */
static int32_t again(const tw_frame *message)
{
    static tw_tensor tensors[MOST];
    uint32_t offset = 0, count = 0;
    int32_t code = TW_OK;
    while (count < MOST && !(code = tw_read_tensor(tw_body(message), tw_length(message), &offset, tensors + count)))
        count++;
    return code == TW_NOT_FOUND ? tw_infer_tensors(0, tensors, count) : TW_BAD_MESSAGE;
}

static int32_t named(void)
{
    static const int64_t pairs[] = {2, 2}, ids[] = {1, -2, 3, 1ll << 40}, three[] = {3}, one[] = {1};
    static const uint8_t flags[] = {0, 1, 255};
    static const char text[] = "\5\0\0\0hello";
    tw_tensor tensors[] = {
        tw_tensor_of("ids", TW_INT64, pairs, 2, ids),
        tw_tensor_of("flags", TW_UINT8, three, 1, flags),
        tw_tensor_of("said", TW_STRING, one, 1, text),
    };
    tensors[2].length = 9;
    return tw_infer_tensors(1, tensors, 3);
}

static int32_t asked(uint8_t word)
{
    static const int64_t row[] = {1, 3}, huge[] = {1ll << 40, 1ll << 40}, large[] = {70000}, none[] = {0, 1ll << 62};
    static const float values[] = {1.5f, -2.0f, 0.25f};
    static const double scalar = -0.125;
    switch (word) {
    case 'o': return tw_infer_tensor(0, TW_FLOAT32, row, 2, values);
    case 's': return tw_infer_tensor(0, TW_FLOAT64, NULL, 0, &scalar);
    case 'n': return named();
    case 'h': return tw_infer_tensor(0, TW_FLOAT32, huge, 2, values);
    case 'l': return tw_infer_tensor(0, TW_UINT8, large, 1, values);
    case 'e': return tw_infer_tensor(0, TW_FLOAT32, none, 2, values);
    case 'w': return tw_infer_window(1, 0, 8, 1ll << 33);
    default: return TW_UNSUPPORTED;
    }
}

/* Says what the tensor "out" of an answer holds: type, rank, last dimension, and the sum of its floats in eighths. */
static int32_t answered(const tw_frame *result)
{
    char buffer[96];
    tw_text said = tw_text_in(buffer, sizeof buffer);
    tw_tensor out;
    int64_t sum = 0;
    const int32_t code = tw_result_tensor(result, "out", &out);
    if (code)
        return code;
    for (uint32_t index = 0; out.dtype == TW_FLOAT32 && index < out.length / 4; index++)
        sum += (int64_t)(((const float *)out.data)[index] * 8);
    tw_add_whole(&said, out.dtype);
    tw_add_text(&said, " ");
    tw_add_whole(&said, out.rank);
    tw_add_text(&said, " ");
    tw_add_whole(&said, out.rank ? out.shape[out.rank - 1] : -1);
    tw_add_text(&said, " ");
    tw_add_whole(&said, sum);
    return tw_log(buffer, said.length);
}

static int32_t receive(const tw_frame *message)
{
    if (message->kind == TW_RESULT)
        return answered(message);
    return message->encoding == TW_TENSOR ? again(message) : asked(*tw_body(message));
}

static int32_t init(const tw_frame *config) { (void)config; return TW_OK; }
static int32_t step(const tw_context *context) { (void)context; return TW_UNTIL_MESSAGE; }
static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
