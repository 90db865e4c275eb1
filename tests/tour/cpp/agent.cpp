/* Makes every call of the SDK once, one in each step, so that the SDKs of all languages can be compared byte for byte. */
#define TW_INBOX_BYTES 16384
#define TW_OUTBOX_BYTES 16384
#include "tickwork.hpp"

using namespace tickwork;

/* Every list of agent.toml holds one name. */
constexpr Topic news{0};
constexpr Subscription all_news{0};
constexpr Peer peer{0};
constexpr Skill work{0};
constexpr Model brain{0};
constexpr Template child{0};
static Window<0, 1024> board;

constexpr uint64_t calls = 17;
constexpr uint16_t user_kind = 0x8001;

class Fnv {
public:
    void add(Bytes bytes)
    {
        for (const uint8_t byte : bytes)
            hash_ = (hash_ ^ byte) * 0x100000001b3ull;
    }
    uint64_t hash_ = 0xcbf29ce484222325ull;
};

class Tour {
public:
    Code receive(Message message)
    {
        const uint16_t kind = message.kind_number();
        const uint32_t destination = message.destination();
        count_++;
        fnv_.add(Bytes::of(kind));
        fnv_.add(Bytes::of(message.raw()->encoding));
        fnv_.add(Bytes::of(destination));
        fnv_.add(message.body());
        return done;
    }

    Sleep step(Context)
    {
        if (steps_ >= calls)
            return Sleep::until_message();
        return call(steps_++);
    }

    void save(StateWriter &to) const { to.put(steps_).put(count_).put(fnv_); }

    Code load(StateReader &from)
    {
        from.get(steps_).get(count_).get(fnv_);
        return done;
    }

private:
    Code call(uint64_t number)
    {
        static const uint32_t first[] = {1};
        switch (number) {
        case 0: return peer.send("hello");
        case 1: return news.publish("{\"n\":1}", Encoding::json);
        case 2: return news.publish_retained("kept");
        case 3: return all_news.leave();
        case 4: return all_news.join();
        case 5: return timer(7, 2);
        case 6: return peer.task(1, 5, "one");
        case 7: return peer.task(2, 0, "two", first);
        case 8: return work.call("\x93\x01\x02\x03", Encoding::msgpack);
        case 9: return brain.infer("ask");
        case 10: return board.put("window 10");
        case 11: return log("tour 11");
        case 12: return metric("tour", 12);
        case 13: return child.spawn("{\"k\":1}");
        case 14: return Agent{self()}.send_kind(user_kind, "user");
        case 15: return metric("random", random_below(1000));
        case 16: return metric("count", (int64_t)count_).then([&] { return metric("hash", (int64_t)fnv_.hash_); });
        default: return done;
        }
    }

    uint64_t steps_ = 0, count_ = 0;
    Fnv fnv_;
};

TICKWORK_AGENT(Tour)
TICKWORK_STATE(Tour)
TICKWORK_WINDOWS(board)
