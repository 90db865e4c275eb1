/* A weather station: reads its raw observations, publishes them as records, and tells when a variable becomes unusual.
 *
 * Every variable has a streaming estimate of what is usual: a level that follows the last days, an offset for each hour of the day,
 * and the mean square of what is left. What is unusual does not teach: a value beyond the threshold is clipped before it is learnt,
 * so a broken sensor cannot make its own readings normal. An anomaly is told once, when it begins; it ends when the score has fallen
 * below half the threshold. Nothing is told in the first weeks, while the estimates are still forming.
 *
 * Configuration: {"id": 0, "station": "EWR", "threshold_milli": 4000}. */
#define TW_INBOX_BYTES 4096
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"
#include "weather.h"

enum { ON_SENSOR_DATA, ON_ANOMALY };

enum {
    HOURS_OF_DAY = 24,
    WARM_UP_HOURS = 21 * 24, /* Three weeks: each hour of the day has been seen 21 times. */
    LEVEL_HOURS = 96,        /* Memory of the level: four days, about the length of one weather system. */
    OFFSET_DAYS = 16,        /* Memory of an hour's offset. */
    SPREAD_HOURS = 720,      /* Memory of the usual deviation: a month. */
    ROW_BYTES = 160
};

#define Q 256 /* Estimates are kept in 1/256 of a milli-unit, so that slow averages do not stall on rounding. */

/* What is watched, whether a jump from hour to hour is watched too, the share of the threshold that holds for it (thousandths), and
 * how small a deviation counts as none (milli-units). Pressure and temperature never lie as many deviations off as rain does, so less
 * of the threshold holds for them. The floors keep a long calm from turning a drizzle into an event. */
static const struct {
    uint8_t variable;
    uint8_t jumps;
    uint16_t share_milli;
    int32_t floor;
} watched[] = {
    {TEMPERATURE, 1, 850, 2000}, {DEW_POINT, 1, 1000, 2500},   {WIND_SPEED, 1, 950, 4000},
    {PRESSURE, 1, 700, 800},     {PRECIPITATION, 0, 1000, 60}, {VISIBILITY, 0, 1000, 1800},
};
enum { WATCHED = sizeof watched / sizeof watched[0] };

/* One streaming estimate. */
typedef struct estimate {
    int64_t level_q;
    int64_t offset_q[HOURS_OF_DAY];
    int64_t square_q; /* Mean square of the residual, times Q. */
    uint32_t seen;
    uint32_t seen_at[HOURS_OF_DAY];
    int unusual;
} estimate;

static estimate levels[WATCHED], changes[WATCHED];
static reading last;
static int has_last;
static uint32_t id, threshold;

static int64_t clip(int64_t value, int64_t bound) { return value > bound ? bound : value < -bound ? -bound : value; }

static uint32_t least(uint32_t left, uint32_t right) { return left < right ? left : right; }

/* Learns one value and returns how unusual it was, in thousandths of the usual deviation; `expected` is what was expected. */
static uint32_t learn(estimate *known, int64_t value, uint32_t hour_of_day, int64_t floor, uint32_t bound,
                      int64_t *expected)
{
    const uint32_t memory = least(++known->seen, LEVEL_HOURS), days = least(++known->seen_at[hour_of_day], OFFSET_DAYS);
    if (known->seen == 1)
        known->level_q = value * Q; /* Else the first value itself would be the greatest deviation for months. */
    const int64_t usual_q = known->level_q + known->offset_q[hour_of_day];
    const int64_t root = tw_root((uint64_t)(known->square_q / Q)), spread = root > floor ? root : floor;
    int64_t residual_q = value * Q - usual_q, score;
    *expected = usual_q / Q;
    score = (residual_q < 0 ? -residual_q : residual_q) / Q * 1000 / spread;
    if (known->seen > WARM_UP_HOURS)
        residual_q = clip(residual_q, spread * Q * bound / 1000);
    known->level_q += residual_q / memory;
    known->offset_q[hour_of_day] += (residual_q - residual_q / memory) / (days + 1);
    known->square_q += (residual_q / Q * (residual_q / Q) * Q - known->square_q) / (int64_t)least(known->seen, SPREAD_HOURS);
    if (known->seen <= WARM_UP_HOURS)
        return 0;
    return score > INT32_MAX ? INT32_MAX : (uint32_t)score;
}

/* Publishes an anomaly where one begins. */
static int32_t judge(estimate *known, anomaly *found, uint32_t bound)
{
    if (known->unusual || found->score_milli < bound) {
        known->unusual = known->unusual && found->score_milli > bound / 2;
        return TW_OK;
    }
    known->unusual = 1;
    return tw_publish(ON_ANOMALY, TW_BYTES, found, sizeof *found);
}

static int32_t watch(const reading *now, uint32_t index)
{
    const uint32_t variable = watched[index].variable, hour_of_day = now->hour % HOURS_OF_DAY, flag = 1u << variable;
    const int32_t floor = watched[index].floor;
    const uint32_t bound = threshold * watched[index].share_milli / 1000, jump_bound = bound + bound / 2;
    const int follows = has_last && last.hour + 1 == now->hour && !(last.missing & flag);
    anomaly found = {now->hour, (uint8_t)id, (uint8_t)variable, BY_LEVEL, 0, now->values[variable], 0, 0};
    int64_t expected;
    int32_t code;
    if (now->missing & flag)
        return TW_OK;
    found.score_milli = learn(&levels[index], found.value, hour_of_day, floor, bound, &expected);
    found.expected = (int32_t)expected;
    code = judge(&levels[index], &found, bound);
    if (code || !watched[index].jumps || !follows)
        return code;
    found.detector = BY_CHANGE;
    found.score_milli = learn(&changes[index], found.value - last.values[variable], hour_of_day, floor, jump_bound, &expected);
    found.expected = last.values[variable] + (int32_t)expected;
    return judge(&changes[index], &found, jump_bound);
}

/* Reads a row: the hour, then the variables in order. */
static int32_t read_row(const uint8_t *text, uint32_t length, reading *into)
{
    tw_line line = tw_line_of(text, length);
    const uint8_t *field;
    uint32_t size;
    int64_t value;
    into->missing = 0;
    if (!tw_field(&line, ',', &field, &size) || tw_parse_whole(field, size, &value) || value < 0 || value > INT32_MAX)
        return TW_BAD_MESSAGE;
    into->hour = (uint32_t)value;
    for (uint32_t variable = 0; variable < VARIABLES; variable++) {
        if (!tw_field(&line, ',', &field, &size))
            return TW_BAD_MESSAGE;
        const int32_t code = tw_parse_fixed(field, size, 3, &value);
        if (code == TW_NOT_FOUND) {
            into->missing |= (uint16_t)(1u << variable);
            value = 0;
        } else if (code || value > INT32_MAX || value < INT32_MIN) {
            return TW_BAD_MESSAGE;
        }
        into->values[variable] = (int32_t)value;
    }
    return line.done ? TW_OK : TW_BAD_MESSAGE;
}

static int32_t init(const tw_frame *config)
{
    id = (uint32_t)tw_config_whole(config, "id", STATIONS);
    threshold = (uint32_t)tw_config_whole(config, "threshold_milli", 4000);
    return id < STATIONS && threshold > 0 && threshold <= 1000000 ? TW_OK : TW_BAD_MESSAGE;
}

static int32_t receive(const tw_frame *message)
{
    reading now = {0, (uint16_t)id, 0, {0}};
    int32_t code;
    if (message->kind != TW_MESSAGE)
        return TW_OK;
    if (tw_length(message) > ROW_BYTES || read_row(tw_body(message), tw_length(message), &now))
        return tw_log_text("a row that is no observation was left out");
    code = tw_publish(ON_SENSOR_DATA, TW_BYTES, &now, sizeof now);
    for (uint32_t index = 0; index < WATCHED && code == TW_OK; index++)
        code = watch(&now, index);
    last = now;
    has_last = 1;
    return code;
}

static int32_t step(const tw_context *context)
{
    (void)context;
    return TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void) { return tw_metric("observations", levels[0].seen); }

TW_AGENT(init, receive, step, shutdown)
