/* A trader, and its own book of orders: everybody sees every order in the same order, so everybody's book is the same.
 *
 * Configuration: {"cash": 10000, "every": 4, "price": 100, "spread": 5}. */
#define TW_INBOX_BYTES 16384
#define TW_OUTBOX_BYTES 16384
#include "tickwork.hpp"

using namespace tickwork;

/* Handles are the places in the lists of agent.toml. */
constexpr Topic orders{0}, prices{1};
constexpr Subscription all_orders{0}, last_price{1};

constexpr uint32_t time_to_order = 1;
constexpr int64_t log_every = 16;

/* What is published on `orders`; side 1 buys, -1 sells. */
struct Order {
    int64_t side, price, quantity;
};

/* What a buyer tells the seller. */
struct Settlement {
    int64_t price, quantity;
};

/* An order that waits in the book until the opposite side meets it. */
struct Resting {
    int64_t there, agent, side, price, quantity;

    bool met_by(int64_t other, const Order &order) const
    {
        if (!there || side != -order.side || agent == other)
            return false;
        return order.side > 0 ? order.price >= price : order.price <= price;
    }
};

class Trader {
public:
    Code init(Config config)
    {
        every_ = config.whole("every", 4);
        spread_ = config.whole("spread", 5);
        cash_ = config.whole("cash", 10000);
        last_ = config.whole("price", 100);
        stock_ = 100;
        if (every_ < 1 || spread_ < 0 || last_ < 1)
            return bad_message;
        return timer(time_to_order, 1 + self() % (uint64_t)every_);
    }

    Code receive(Message message)
    {
        const Bytes body = message.body();
        const bool from_topic = message.is(Kind::message) || message.is(Kind::retained);
        if (message.is(Kind::timer_fired) && message.tag() == time_to_order)
            return order();
        if (message.is(Kind::message) && message.by(all_orders) && body.size() == sizeof(Order)) {
            /* Only with an agent can a trade be settled. */
            return message.from_outside() ? done : ordered(message.source(), body.read<Order>());
        }
        if (from_topic && message.by(last_price) && body.size() == sizeof hub_)
            hub_ = body.read<int64_t>();
        else if (message.is(Kind::message) && message.direct() && body.size() == sizeof(Settlement))
            settled_ += body.read<Settlement>().quantity;
        return done;
    }

    Code shutdown()
    {
        Text<96> text;
        text << "cash " << cash_ << " stock " << stock_ << " trades " << trades_;
        return metric("cash", cash_)
            .then([&] { return metric("stock", stock_); })
            .then([&] { return metric("trades", trades_); })
            .then([&] { return log(text); });
    }

    void save(StateWriter &to) const
    {
        to.put(every_).put(spread_).put(cash_).put(stock_).put(last_).put(trades_).put(settled_).put(hub_).put(resting_);
    }

    Code load(StateReader &from)
    {
        from.get(every_).get(spread_).get(cash_).get(stock_).get(last_).get(trades_).get(settled_).get(hub_).get(resting_);
        return done;
    }

private:
    /* Publishes an order near the last price, to buy or to sell. */
    Code order()
    {
        const int64_t side = random() & 1 ? 1 : -1;
        const int64_t near = last_ - spread_ + random_below((uint32_t)(2 * spread_ + 1));
        const int64_t quantity = 1 + random_below(10);
        const Order made{side, near > 1 ? near : 1, quantity};
        return orders.publish(Bytes::of(made)).then([&] { return timer(time_to_order, (uint64_t)every_); });
    }

    Code ordered(Agent agent, const Order &order)
    {
        if (resting_.met_by(agent.number, order))
            return match(agent, order);
        resting_ = {1, agent.number, order.side, order.price, order.quantity};
        return done;
    }

    Code match(Agent agent, const Order &order)
    {
        const Agent waiting{(uint32_t)resting_.agent}, me{self()};
        const int64_t price = resting_.price;
        const int64_t traded = order.quantity < resting_.quantity ? order.quantity : resting_.quantity;
        const Agent buyer = order.side > 0 ? agent : waiting, seller = order.side > 0 ? waiting : agent;
        Code code = done;
        trades_++;
        last_ = price;
        resting_.quantity -= traded;
        if (resting_.quantity == 0)
            resting_ = {};
        if (me == buyer) {
            code = bought({price, traded}, seller);
        } else if (me == seller) {
            cash_ += price * traded;
            stock_ -= traded;
        }
        return code.ok() && trades_ % log_every == 0 ? log_trade(price) : code;
    }

    /* The buyer tells the price to all and the quantity to the seller. */
    Code bought(const Settlement &deal, Agent seller)
    {
        cash_ -= deal.price * deal.quantity;
        stock_ += deal.quantity;
        return prices.publish_retained(Bytes::of(deal.price)).then([&] { return seller.send(Bytes::of(deal)); });
    }

    Code log_trade(int64_t price)
    {
        Text<64> text;
        text << "trade " << trades_ << " at " << price;
        return log(text);
    }

    int64_t every_ = 0, spread_ = 0, cash_ = 0, stock_ = 0, last_ = 0, trades_ = 0, settled_ = 0, hub_ = 0;
    Resting resting_{};
};

TICKWORK_AGENT(Trader)
TICKWORK_STATE(Trader)
