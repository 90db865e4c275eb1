/* Gives back what it gets: to whoever sent it, or on the topic where nobody did. Counts what it gave back. */
#define TW_INBOX_BYTES 16384
#define TW_OUTBOX_BYTES 16384
#include "tickwork.hpp"

using namespace tickwork;

/* Handles are the places in the lists of agent.toml. */
constexpr Topic echoes{0};

class Echo {
public:
    Code receive(Message message)
    {
        if (!message.is(Kind::message))
            return done;
        const Code code = message.from_outside() ? echoes.publish(message.body(), message.encoding())
                                                 : message.source().send(message.body(), message.encoding());
        if (code.ok())
            count_++;
        return code;
    }

    Code shutdown() { return metric("echoed", (int64_t)count_); }

    void save(StateWriter &to) const { to.put(count_); }

    Code load(StateReader &from)
    {
        from.get(count_);
        return done;
    }

private:
    uint64_t count_ = 0;
};

TICKWORK_AGENT(Echo)
TICKWORK_STATE(Echo)
