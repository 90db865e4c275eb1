/* Compares the stations: how well they agree over the last two weeks and in each month, and which anomalies are shared by a region.
 *
 * Two stations a few miles apart mostly feel the same weather. Where their correlation falls, something local is at work (a sea
 * breeze, a broken sensor); where two of them report the same unusual variable within hours, the weather itself is unusual. */
#define TW_INBOX_BYTES 8192
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"
#include "weather.h"

enum { FROM_SENSOR_DATA, FROM_ANOMALY };
enum { ON_REGION, ON_SUMMARY, ON_CORRELATION };
enum { PAIRS = 3, COMPARED = 2, WINDOW_HOURS = 14 * 24, TELL_HOURS = 24, NEAR_HOURS = 3, QUIET_TICKS = 24 };

static const uint8_t pairs[PAIRS][2] = {{0, 1}, {0, 2}, {1, 2}};
static const uint8_t compared[COMPARED] = {TEMPERATURE, PRESSURE};

/* Subtracted before sums are taken, so that they stay small: hundredths of a degree or millibar. */
static const int32_t centre[COMPARED] = {5500, 101800};

static const uint16_t month_ends[12] = {744, 1416, 2160, 2880, 3624, 4344, 5088, 5832, 6552, 7296, 8016, 8760};

/* Sums over pairs of values. Values are hundredths, within 13 bits of the centre; a year of them fits 64 bits with room. */
typedef struct sums {
    int64_t count, x, y, xx, yy, xy;
} sums;

/* The last two weeks of one variable at all stations; a slot is valid if its hour is the one asked for. */
static int32_t ring[COMPARED][STATIONS][WINDOW_HOURS];
static uint8_t there[COMPARED][STATIONS][WINDOW_HOURS];

static sums sliding[COMPARED][PAIRS], monthly[COMPARED][PAIRS];
static uint32_t hour, month;
static int begun, unsummed;
static uint64_t heard_tick;

/* The open regional event of each variable. */
static struct {
    uint32_t first_hour, last_hour[STATIONS], latest, peak;
    uint8_t stations;
} events[VARIABLES];

static void add(sums *to, int64_t x, int64_t y, int64_t sign)
{
    to->count += sign;
    to->x += sign * x;
    to->y += sign * y;
    to->xx += sign * x * x;
    to->yy += sign * y * y;
    to->xy += sign * x * y;
}

/* Returns Pearson's correlation in thousandths, 0 where one side does not vary. */
static int32_t correlation(const sums *of)
{
    const int64_t spread_x = of->count * of->xx - of->x * of->x, spread_y = of->count * of->yy - of->y * of->y;
    const int64_t both = of->count * of->xy - of->x * of->y;
    if (spread_x <= 0 || spread_y <= 0)
        return 0;
    const int64_t scale = (int64_t)tw_root((uint64_t)spread_x) * tw_root((uint64_t)spread_y);
    return scale ? (int32_t)(both * 1000 / scale) : 0;
}

/* Adds the slot of the current hour to the sums, or takes the one that is about to be overwritten out of them. */
static void account(uint32_t slot, int64_t sign, int into_month)
{
    for (uint32_t which = 0; which < COMPARED; which++) {
        for (uint32_t pair = 0; pair < PAIRS; pair++) {
            const uint32_t first = pairs[pair][0], second = pairs[pair][1];
            if (!there[which][first][slot] || !there[which][second][slot])
                continue;
            add(&sliding[which][pair], ring[which][first][slot], ring[which][second][slot], sign);
            if (into_month)
                add(&monthly[which][pair], ring[which][first][slot], ring[which][second][slot], 1);
        }
    }
}

static void clear(uint32_t slot)
{
    account(slot, -1, 0);
    for (uint32_t which = 0; which < COMPARED; which++)
        for (uint32_t station = 0; station < STATIONS; station++)
            there[which][station][slot] = 0;
}

/* Publishes how all pairs agree, as one message: a retained topic keeps one value, so it has to be the whole of it. */
static int32_t tell(uint32_t handle, uint8_t of_month)
{
    agreement told[COMPARED * PAIRS];
    uint32_t count = 0;
    for (uint32_t which = 0; which < COMPARED; which++) {
        for (uint32_t pair = 0; pair < PAIRS; pair++) {
            const sums *of = of_month ? &monthly[which][pair] : &sliding[which][pair];
            if (!of->count)
                continue;
            told[count++] = (agreement){hour,
                                        pairs[pair][0],
                                        pairs[pair][1],
                                        compared[which],
                                        of_month,
                                        (uint32_t)of->count,
                                        correlation(of),
                                        (int32_t)((of->x - of->y) * 10 / of->count)};
        }
    }
    if (!count)
        return TW_OK;
    return of_month ? tw_publish(handle, TW_BYTES, told, count * sizeof told[0])
                    : tw_publish_retained(handle, TW_BYTES, told, count * sizeof told[0]);
}

static int32_t sum_month_up(void)
{
    const int32_t code = tell(ON_SUMMARY, (uint8_t)(month + 1));
    tw_fill(monthly, 0, sizeof monthly);
    unsummed = 0;
    return code;
}

/* Closes the hours up to `next` and opens it. */
static int32_t move_to(uint32_t next)
{
    int32_t code = TW_OK;
    if (begun) {
        account(hour % WINDOW_HOURS, 1, 1);
        unsummed = 1;
        if (hour % TELL_HOURS == TELL_HOURS - 1)
            code = tell(ON_CORRELATION, 0);
    }
    if (code == TW_OK && begun && month < 11 && next >= month_ends[month])
        code = sum_month_up();
    while (month < 11 && next >= month_ends[month])
        month++;
    for (uint32_t gone = begun ? hour + 1 : next; gone <= next && gone - hour <= WINDOW_HOURS; gone++)
        clear(gone % WINDOW_HOURS);
    hour = next;
    begun = 1;
    return code;
}

static int32_t on_reading(const reading *now)
{
    int32_t code = TW_OK;
    if (now->station >= STATIONS || (begun && now->hour < hour))
        return TW_OK;
    if (!begun || now->hour > hour)
        code = move_to(now->hour);
    for (uint32_t which = 0; which < COMPARED; which++) {
        if (now->missing & 1u << compared[which])
            continue;
        ring[which][now->station][hour % WINDOW_HOURS] = now->values[compared[which]] / 10 - centre[which];
        there[which][now->station][hour % WINDOW_HOURS] = 1;
    }
    return code;
}

static int32_t on_anomaly(const anomaly *found)
{
    const uint8_t flag = (uint8_t)(1u << found->station);
    if (found->station >= STATIONS || found->variable >= VARIABLES)
        return TW_OK;
    if (!events[found->variable].stations || found->hour > events[found->variable].latest + NEAR_HOURS) {
        events[found->variable].stations = 0;
        events[found->variable].first_hour = found->hour;
        events[found->variable].peak = 0;
    }
    const int joins = !(events[found->variable].stations & flag);
    events[found->variable].stations |= flag;
    events[found->variable].latest = found->hour;
    if (found->score_milli > events[found->variable].peak)
        events[found->variable].peak = found->score_milli;
    const uint8_t stations = events[found->variable].stations;
    if (!joins || !(stations & (stations - 1)))
        return TW_OK;
    const region told = {events[found->variable].first_hour, found->hour, found->variable, stations, 0,
                         events[found->variable].peak};
    return tw_publish(ON_REGION, TW_BYTES, &told, sizeof told);
}

static int32_t init(const tw_frame *config)
{
    (void)config;
    return TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    if (message->kind != TW_MESSAGE)
        return TW_OK;
    heard_tick = tw_tick();
    if (message->destination == FROM_SENSOR_DATA && tw_length(message) == sizeof(reading))
        return on_reading((const reading *)tw_body(message));
    if (message->destination == FROM_ANOMALY && tw_length(message) == sizeof(anomaly))
        return on_anomaly((const anomaly *)tw_body(message));
    return TW_OK;
}

/* The last month has no successor that would close it: a day without observations does. */
static int32_t step(const tw_context *context)
{
    if (!unsummed)
        return TW_UNTIL_MESSAGE;
    if (context->tick - heard_tick < QUIET_TICKS)
        return QUIET_TICKS;
    const int32_t code = sum_month_up();
    return code ? code : TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void) { return TW_OK; }

TW_AGENT(init, receive, step, shutdown)
