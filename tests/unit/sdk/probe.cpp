/* Does what the first byte of a message asks for, so that each part of tickwork.hpp can be looked at from outside. */
#include "tickwork.hpp"

using namespace tickwork;

constexpr Subscription news{0};
constexpr Skill work{1};
constexpr Model brain{2};
static Window<0, 64> first;
static Window<1, 32> second;

/* A global that has to be constructed: its value is not known to the compiler. */
struct Counted {
    int64_t value;
    Counted() : value(40 + (int64_t)tw_ctx.reserved[2]) {}
};

static Counted counted;

class Probe {
public:
    Code init(Config config)
    {
        start_ = config.whole("start", -1);
        named_ = config.text("name").or_else("nobody").size();
        return config.json().empty() ? bad_state : done;
    }

    Code receive(Message message)
    {
        if (message.is(Kind::window_epoch))
            return opened(message);
        if (message.is(Kind::result) || message.is(Kind::error))
            return answered(message);
        const Bytes body = message.body(), rest = body.part(1);
        switch (body.empty() ? 0 : body[0]) {
        case 'p': return told(message, parse_fixed(rest, 2).or_else(-1));
        case 'w': return told(message, parse_whole(rest).or_else(-1));
        case 'f': return fields(message, rest);
        case 'd': return drafted(message, rest);
        case 'c': return cut(message);
        case 'g': return told(message, ++counted.value);
        case 's': return told(message, start_ * 100 + named_);
        case 'o': return told(message, body[1000]);
        case 'b': return second.put("this is longer than the window is");
        case 'v': return first.put(rest);
        case 'x': return leave_run();
        case 'e': return told(message, message.by(news) ? 1 : message.direct() ? 2 : 3);
        case 'n': return told(message, *Maybe<int64_t>());
        default: return unsupported;
        }
    }

    Code shutdown() { return failed.then([] { return log("never reached"); }); }

private:
    Code told(Message message, int64_t value)
    {
        Text<64> text;
        text.fixed(value, 1);
        return message.reply(text);
    }

    Code fields(Message message, Bytes line)
    {
        Fields read(line, ';');
        Text<64> text;
        while (const Maybe<Bytes> field = read.next())
            text << "[" << *field << "]";
        return message.reply(text);
    }

    Code drafted(Message message, Bytes body)
    {
        { Draft dropped(8); }
        Draft draft(body.size() + 1);
        if (!draft)
            return outbox_full;
        tw_copy(draft.body().data(), body.data(), body.size());
        const Code sent = draft.send(0x8003, Encoding::json, TW_RAW_AGENT | message.source().number, body.size());
        return sent.then([&] { return draft.send(0x8003, Encoding::json, 0, 0) == too_big ? done : failed; });
    }

    Code cut(Message message)
    {
        Text<4> text;
        text << "abcdef";
        return text.cut() ? message.reply(text) : failed;
    }

    Code opened(Message message)
    {
        const tw_epoch epoch = *message.epoch();
        Text<64> text;
        text << "epoch " << (int64_t)epoch.epoch << " size " << (int64_t)epoch.size << " of " << first.content().part(0, 4);
        return log(text);
    }

    Code answered(Message message)
    {
        if (message.answers(work))
            return log("work");
        if (message.answers(brain))
            return metric("brain", message.error().number());
        return log("nobody");
    }

    int64_t start_ = 0, named_ = 0;
};

TICKWORK_AGENT(Probe)
TICKWORK_WINDOWS(first, second)
