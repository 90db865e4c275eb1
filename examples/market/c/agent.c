/* A trader, and its own book of orders: everybody sees every order in the same order, so everybody's book is the same.
 *
 * Configuration: {"cash": 10000, "every": 4, "price": 100, "spread": 5}. */
#define TW_INBOX_BYTES 16384
#define TW_OUTBOX_BYTES 16384
#include "tickwork.h"

/* Handles are the places in the lists of agent.toml. */
enum { ORDERS, PRICE };

enum { TIME_TO_ORDER = 1 };

enum { ORDER_BYTES = 24, PRICE_BYTES = 8, SETTLEMENT_BYTES = 16, LOG_EVERY = 16 };

/* The numbers of the saved state, in their order. */
enum {
    EVERY,
    SPREAD,
    CASH,
    STOCK,
    LAST,
    TRADES,
    SETTLED,
    HUB,
    HAS_RESTING,
    RESTING_AGENT,
    RESTING_SIDE,
    RESTING_PRICE,
    RESTING_QUANTITY,
    NUMBERS
};

/* All of the agent's state. A resting order waits in the book until the opposite side meets it. */
static int64_t state[NUMBERS];

static int64_t number_at(const uint8_t *body, uint32_t index) { return (int64_t)tw_load64(body + 8 * index); }

static int32_t wait(uint64_t ticks) { return tw_timer(TIME_TO_ORDER, ticks); }

static int32_t init(const tw_frame *config)
{
    const int64_t price = tw_config_whole(config, "price", 100);
    state[EVERY] = tw_config_whole(config, "every", 4);
    state[SPREAD] = tw_config_whole(config, "spread", 5);
    state[CASH] = tw_config_whole(config, "cash", 10000);
    state[LAST] = price;
    state[STOCK] = 100;
    if (state[EVERY] < 1 || state[SPREAD] < 0 || price < 1)
        return TW_BAD_MESSAGE;
    return wait(1 + tw_self() % (uint64_t)state[EVERY]);
}

/* Publishes an order near the last price, to buy or to sell. */
static int32_t order(void)
{
    const int64_t side = tw_random() & 1 ? 1 : -1;
    const int64_t near = state[LAST] - state[SPREAD] + tw_random_below((uint32_t)(2 * state[SPREAD] + 1));
    const int64_t price = near > 1 ? near : 1;
    const int64_t quantity = 1 + tw_random_below(10);
    const int64_t body[] = {side, price, quantity};
    const int32_t code = tw_publish(ORDERS, TW_BYTES, body, sizeof body);
    return code ? code : wait((uint64_t)state[EVERY]);
}

static void rest(int64_t agent, int64_t side, int64_t price, int64_t quantity)
{
    state[HAS_RESTING] = 1;
    state[RESTING_AGENT] = agent;
    state[RESTING_SIDE] = side;
    state[RESTING_PRICE] = price;
    state[RESTING_QUANTITY] = quantity;
}

/* Takes what was traded from the resting order, which leaves the book when nothing is left of it. */
static void take(int64_t quantity)
{
    state[RESTING_QUANTITY] -= quantity;
    if (state[RESTING_QUANTITY] == 0)
        for (uint32_t index = HAS_RESTING; index < NUMBERS; index++)
            state[index] = 0;
}

static int meets(int64_t agent, int64_t side, int64_t price)
{
    if (!state[HAS_RESTING] || state[RESTING_SIDE] != -side || state[RESTING_AGENT] == agent)
        return 0;
    return side > 0 ? price >= state[RESTING_PRICE] : price <= state[RESTING_PRICE];
}

static int32_t log_trade(int64_t price)
{
    char buffer[64];
    tw_text text = tw_text_in(buffer, sizeof buffer);
    tw_add_text(&text, "trade ");
    tw_add_whole(&text, state[TRADES]);
    tw_add_text(&text, " at ");
    tw_add_whole(&text, price);
    return tw_log(buffer, text.length);
}

/* The buyer tells the price to all and the quantity to the seller. */
static int32_t bought(int64_t price, int64_t quantity, int64_t seller)
{
    const int64_t settlement[] = {price, quantity};
    int32_t code;
    state[CASH] -= price * quantity;
    state[STOCK] += quantity;
    code = tw_publish_retained(PRICE, TW_BYTES, &price, sizeof price);
    return code ? code : tw_send_to((uint32_t)seller, TW_BYTES, settlement, sizeof settlement);
}

static int32_t match(int64_t agent, int64_t side, int64_t quantity)
{
    const int64_t resting = state[RESTING_AGENT], price = state[RESTING_PRICE];
    const int64_t traded = quantity < state[RESTING_QUANTITY] ? quantity : state[RESTING_QUANTITY];
    const int64_t buyer = side > 0 ? agent : resting, seller = side > 0 ? resting : agent;
    int32_t code = TW_OK;
    state[TRADES]++;
    state[LAST] = price;
    take(traded);
    if (tw_self() == buyer) {
        code = bought(price, traded, seller);
    } else if (tw_self() == seller) {
        state[CASH] += price * traded;
        state[STOCK] -= traded;
    }
    if (code == TW_OK && state[TRADES] % LOG_EVERY == 0)
        code = log_trade(price);
    return code;
}

static int32_t ordered(int64_t agent, const uint8_t *body)
{
    const int64_t side = number_at(body, 0), price = number_at(body, 1), quantity = number_at(body, 2);
    if (meets(agent, side, price))
        return match(agent, side, quantity);
    rest(agent, side, price, quantity);
    return TW_OK;
}

static int32_t receive(const tw_frame *frame)
{
    const uint8_t *body = tw_body(frame);
    const uint32_t length = tw_length(frame);
    const int from_agent = frame->source != TW_OUTSIDE; /* With nobody else can a trade be settled. */
    const int from_topic = frame->kind == TW_MESSAGE || frame->kind == TW_RETAINED;
    if (frame->kind == TW_TIMER_FIRED && frame->destination == TIME_TO_ORDER)
        return order();
    if (frame->kind == TW_MESSAGE && frame->destination == ORDERS && length == ORDER_BYTES)
        return from_agent ? ordered(frame->source, body) : TW_OK;
    if (from_topic && frame->destination == PRICE && length == PRICE_BYTES)
        state[HUB] = number_at(body, 0);
    else if (frame->kind == TW_MESSAGE && frame->destination == TW_DIRECT && length == SETTLEMENT_BYTES)
        state[SETTLED] += number_at(body, 1);
    return TW_OK;
}

static int32_t step(const tw_context *context)
{
    (void)context;
    return TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void)
{
    char buffer[96];
    tw_text text = tw_text_in(buffer, sizeof buffer);
    if (tw_metric("cash", state[CASH]) || tw_metric("stock", state[STOCK]) || tw_metric("trades", state[TRADES]))
        return TW_OUTBOX_FULL;
    tw_add_text(&text, "cash ");
    tw_add_whole(&text, state[CASH]);
    tw_add_text(&text, " stock ");
    tw_add_whole(&text, state[STOCK]);
    tw_add_text(&text, " trades ");
    tw_add_whole(&text, state[TRADES]);
    return tw_log(buffer, text.length);
}

static int32_t save(uint8_t *to, uint32_t capacity)
{
    if (capacity < sizeof state)
        return TW_TOO_BIG;
    tw_copy(to, state, sizeof state);
    return sizeof state;
}

static int32_t load(const uint8_t *from, uint32_t length)
{
    if (length != sizeof state)
        return TW_BAD_MESSAGE;
    tw_copy(state, from, sizeof state);
    return TW_OK;
}

TW_AGENT(init, receive, step, shutdown)
TW_AGENT_STATE(save, load)
