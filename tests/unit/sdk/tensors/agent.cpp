// Reads tensors and asks with them, so that a test can compare languages.
#include "tickwork.hpp"

using namespace tickwork;

constexpr Model first{0}, second{1};

class Tensorial {
public:
    Code receive(Message message)
    {
        if (message.is(Kind::result))
            return answered(message);
        return message.encoding() == Encoding::tensor ? again(message) : asked((char)message.body()[0]);
    }

private:
    static constexpr uint32_t most = 64;

    /* Asks the model with the very tensors a message brings. */
    static Code again(Message message)
    {
        static Tensor tensors[most];
        uint32_t count = 0;
        Tensors each = message.tensors();
        while (count < most) {
            const Maybe<Tensor> next = each.next();
            if (!next)
                break;
            tensors[count++] = *next;
        }
        return each.code().then([&] { return first.infer(Span<const Tensor>(tensors, count)); });
    }

    static Code named()
    {
        static const int64_t pairs[] = {2, 2}, ids[] = {1, -2, 3, 1ll << 40}, three[] = {3}, one[] = {1};
        static const uint8_t flags[] = {0, 1, 255};
        const Tensor tensors[] = {
            Tensor(pairs, ids, "ids"),
            Tensor(three, flags, "flags"),
            Tensor(DType::string, one, "\5\0\0\0hello", "said"),
        };
        return second.infer(tensors);
    }

    static Code asked(char word)
    {
        static const int64_t row[] = {1, 3}, huge[] = {1ll << 40, 1ll << 40}, large[] = {70000};
        static const int64_t none[] = {0, 1ll << 62};
        static const float values[] = {1.5f, -2.0f, 0.25f};
        static const double scalar[] = {-0.125};
        static uint8_t many[70000];
        switch (word) {
        case 'o': return first.infer(Tensor(row, values));
        case 's': return first.infer(Tensor(Span<const int64_t>(), scalar));
        case 'n': return named();
        case 'h': return first.infer(Tensor(huge, values));
        case 'l': return first.infer(Tensor(large, many));
        case 'e': return first.infer(Tensor(none, Span<const float>()));
        case 'w': return second.infer_window(0, 8, 1ll << 33);
        default: return unsupported;
        }
    }

    /* Says what the tensor "out" holds: type, rank, last dimension, and the sum of its floats in eighths. */
    static Code answered(Message result)
    {
        if (result.encoding() != Encoding::tensor)
            return bad_message;
        Tensors each = result.tensors();
        while (each.next()) {
        }
        const Maybe<Tensor> out = result.tensor("out");
        if (!out)
            return each.code().then([] { return not_found; });
        const Tensor tensor = *out;
        const uint32_t rank = tensor.shape().size();
        int64_t sum = 0;
        for (const float element : tensor.elements<float>())
            sum += (int64_t)(element * 8);
        Text<96> said;
        said << (int64_t)tensor.dtype() << " " << (int64_t)rank << " ";
        said << (rank ? tensor.shape()[rank - 1] : -1) << " " << sum;
        return log(said);
    }
};

TICKWORK_AGENT(Tensorial)
