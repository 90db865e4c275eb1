/* A starter: counts the messages it gets, answers each with the count, and tells the total once a day of ticks.
 *
 * Configuration: {"every": 24}. */
#include "tickwork.hpp"

using namespace tickwork;

/* Handles are the places in the lists of agent.toml. */
constexpr Topic totals{0};

class Counter {
public:
    /* Once, with the configuration. A failing code refuses it. */
    Code init(Config config)
    {
        every_ = config.whole("every", 24);
        return every_ > 0 && every_ < TW_AGAIN ? done : bad_message;
    }

    /* Each message, in order. */
    Code receive(Message message)
    {
        if (!message.is(Kind::message))
            return done;
        Text<32> text;
        text << (int64_t)++total_;
        return message.from_outside() ? done : message.reply(text);
    }

    /* After the messages. A message wakes it earlier than it asks for. */
    Sleep step(Context context)
    {
        const uint64_t since = context.tick() % (uint64_t)every_;
        if (since == 0 && !totals.publish(Bytes::of(total_)).ok())
            return outbox_full;
        return Sleep::ticks((uint32_t)((uint64_t)every_ - since - 1));
    }

    /* The last turn; what it leaves in the outbox still counts. */
    Code shutdown() { return metric("total", (int64_t)total_); }

    /* The state, for the next version of this agent, and how that takes it. */
    void save(StateWriter &to) const { to.put(every_).put(total_); }

    Code load(StateReader &from)
    {
        from.get(every_).get(total_);
        return done;
    }

private:
    int64_t every_ = 24;
    uint64_t total_ = 0;
};

TICKWORK_AGENT(Counter)
TICKWORK_STATE(Counter)
