/* The forecaster: keeps the last 24 hours of each station, asks a model how much warmer or colder it will be six hours later, and
 * when those hours have come compares what it said, and the forecast that nothing changes, with what was observed.
 *
 * The model takes bytes, which are computed here in integers; train.py computes the same ones. It answers with a float, whose
 * thousandths are taken once. A model that does not answer stops nothing: the request is counted as unanswered.
 *
 * Configuration: {"learnt_days": 21}, the days of each month from which the model has learnt. */
#define TW_INBOX_BYTES 8192
#define TW_OUTBOX_BYTES 4096
#include "tickwork.h"
#include "weather.h"

enum { ON_FORECAST, ON_FORECAST_ERROR };
enum { FORECAST_MODEL };

enum {
    WINDOW_HOURS = 24,
    AHEAD_HOURS = 6,
    OBSERVED_LEAST = 18, /* Of the 24 hours, so many must have a temperature; the others repeat the hour before. */
    DUE_HOURS = 8,       /* More than AHEAD_HOURS, so that no forecast is overwritten before it is due. */
    ASKED_MOST = 256,
    QUIET_TICKS = 24,
    FASTEST_WIND = 60000,
    FEATURES = 78
};

/* One hour of one station, gaps filled. Wind: speed times a thousand times the sine and cosine of its direction. */
typedef struct slot {
    int64_t temperature, dew_point, pressure, visibility, rain, wind_sine, wind_cosine, observed;
} slot;

/* A station's last hours. The slot of an hour is its remainder by WINDOW_HOURS. */
static struct {
    slot hours[WINDOW_HOURS];
    uint32_t hour, seen;
} windows[STATIONS];

/* Requests in the order they were made, which is the order of the answers; and forecasts until they are due, by hour. */
static forecast asked[ASKED_MOST], due[STATIONS][DUE_HOURS];
static uint32_t asked_first, asked_count;

/* The open day, and the forecasts of this turn. */
static forecast_error today[STATIONS];
static uint32_t day, told_count, learnt_days;
static forecast told[STATIONS];
static int begun, unsummed, complained;
static uint64_t heard_tick;
static miss total;
static uint64_t unanswered;

/* What a variable counts as before it was first observed. */
static const slot before = {50000, 40000, 1015000, 10000, 0, 0, 0, 0};

static const uint8_t dew_lags[] = {1, 2, 3, 6, 12, 18, 23}, pressure_lags[] = {1, 2, 3, 6, 12, 23}, wind_lags[] = {0, 3, 6, 12};
static const uint8_t month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* Returns a thousand times the sine, between its table's places in a straight line. */
static int32_t sine(uint32_t degrees)
{
    static const int16_t quarter[10] = {0, 174, 342, 500, 643, 766, 866, 940, 985, 1000};
    const uint32_t turned = degrees % 360, half = turned % 180, angle = half > 90 ? 180 - half : half;
    const uint32_t place = angle / 10 < 8 ? angle / 10 : 8;
    const int32_t height = quarter[place] + (quarter[place + 1] - quarter[place]) * (int32_t)(angle - 10 * place) / 10;
    return turned >= 180 ? -height : height;
}

/* ---- What the model sees ---- */

/* Takes a reading into a station's window; hours that are lacking repeat the one before them. */
static void remember(const reading *now)
{
    slot *hours = windows[now->station].hours;
    uint32_t *last = &windows[now->station].hour, *seen = &windows[now->station].seen;
    slot filled = *seen ? hours[*last % WINDOW_HOURS] : before;
    filled.rain = filled.wind_sine = filled.wind_cosine = filled.observed = 0;
    for (uint32_t gone = 1; *seen && gone < now->hour - *last && gone <= WINDOW_HOURS; gone++, ++*seen)
        hours[(*last + gone) % WINDOW_HOURS] = filled;
    filled.observed = !(now->missing & 1u << TEMPERATURE);
    if (filled.observed)
        filled.temperature = now->values[TEMPERATURE];
    if (!(now->missing & 1u << DEW_POINT))
        filled.dew_point = now->values[DEW_POINT];
    if (!(now->missing & 1u << PRESSURE))
        filled.pressure = now->values[PRESSURE];
    if (!(now->missing & 1u << VISIBILITY))
        filled.visibility = now->values[VISIBILITY];
    filled.rain = now->values[PRECIPITATION];
    if (!(now->missing & (1u << WIND_DIRECTION | 1u << WIND_SPEED))) {
        const int64_t speed = now->values[WIND_SPEED] < FASTEST_WIND ? now->values[WIND_SPEED] : FASTEST_WIND;
        const uint32_t direction = (uint32_t)now->values[WIND_DIRECTION] / 1000;
        filled.wind_sine = speed * sine(direction);
        filled.wind_cosine = speed * sine(direction + 90);
    }
    hours[now->hour % WINDOW_HOURS] = filled;
    *last = now->hour;
    ++*seen;
}

/* Returns a value in bytes of `unit` each, `zero` of them for 0, as far as a byte goes. */
static uint8_t byte(int64_t value, int64_t unit, int64_t zero)
{
    const int64_t steps = (value + zero * unit) / unit;
    return steps < 0 ? 0 : steps > 255 ? 255 : (uint8_t)steps;
}

static const slot *ago(uint32_t station, uint32_t lag)
{
    return &windows[station].hours[(windows[station].hour - lag) % WINDOW_HOURS];
}

/* Writes the FEATURES bytes of a station's window. */
static void fill(uint32_t station, uint8_t *to)
{
    const slot *now = ago(station, 0);
    const uint32_t hour = windows[station].hour, season = hour / 24 * 360 / 365;
    *to++ = byte(now->temperature, 500, 40);
    for (uint32_t lag = 1; lag < WINDOW_HOURS; lag++)
        *to++ = byte(ago(station, lag)->temperature - now->temperature, 250, 128);
    *to++ = byte(now->temperature - now->dew_point, 250, 0);
    for (uint32_t index = 0; index < sizeof dew_lags; index++)
        *to++ = byte(ago(station, dew_lags[index])->dew_point - now->dew_point, 250, 128);
    *to++ = byte(now->pressure - 1012000, 250, 128);
    for (uint32_t index = 0; index < sizeof pressure_lags; index++)
        *to++ = byte(ago(station, pressure_lags[index])->pressure - now->pressure, 200, 128);
    for (uint32_t index = 0; index < sizeof wind_lags; index++) {
        *to++ = byte(ago(station, wind_lags[index])->wind_sine, 200000, 128);
        *to++ = byte(ago(station, wind_lags[index])->wind_cosine, 200000, 128);
    }
    *to++ = byte(now->visibility, 40, 0);
    *to++ = byte(now->rain + ago(station, 1)->rain + ago(station, 2)->rain, 4, 0);
    for (uint32_t each = 0; each < 24; each++)
        *to++ = hour % 24 == each ? 255 : 128;
    *to++ = byte(sine(season), 8, 128);
    *to++ = byte(sine(season + 90), 8, 128);
    for (uint32_t each = 0; each < STATIONS; each++)
        *to++ = each == station ? 255 : 128;
}

/* Returns 1 if the hours from `first` to `last` lie in one month, behind its learnt days. */
static int held_out(uint32_t first, uint32_t last)
{
    uint32_t start = 0, month = 0;
    while (month < 11 && first >= start + month_days[month] * 24u)
        start += month_days[month++] * 24u;
    return first >= start + learnt_days * 24 && last < start + month_days[month] * 24u;
}

/* ---- Asking and being answered ---- */

/* Asks the model about a station, if its window is good enough. */
static int32_t ask(uint32_t station)
{
    static const int64_t shape[] = {1, FEATURES};
    const uint32_t hour = windows[station].hour;
    uint8_t inputs[FEATURES];
    uint32_t observed = 0;
    int32_t code;
    for (uint32_t lag = 0; lag < WINDOW_HOURS; lag++)
        observed += (uint32_t)ago(station, lag)->observed;
    if (windows[station].seen < WINDOW_HOURS || observed < OBSERVED_LEAST || !ago(station, 0)->observed)
        return TW_OK;
    if (asked_count == ASKED_MOST)
        return TW_OK; /* A model that is so far behind is not asked for more. */
    fill(station, inputs);
    code = tw_infer_tensor(FORECAST_MODEL, TW_UINT8, shape, 2, inputs);
    if (code)
        return code;
    asked[(asked_first + asked_count++) % ASKED_MOST] =
        (forecast){hour, (uint8_t)station, AHEAD_HOURS, (uint8_t)held_out(hour - WINDOW_HOURS + 1, hour + AHEAD_HOURS),
                   0,    (int32_t)ago(station, 0)->temperature, 0};
    return TW_OK;
}

static int32_t tell_forecasts(void)
{
    const uint32_t count = told_count;
    told_count = 0;
    return count ? tw_publish(ON_FORECAST, TW_BYTES, told, count * sizeof told[0]) : TW_OK;
}

/* Reads the one float of an answer, in thousandths. Returns 0 where it is none, or no change of temperature on this planet. */
static int read_change(const tw_frame *answer, int32_t *change)
{
    tw_tensor tensor;
    float degrees;
    if (tw_result_tensor(answer, NULL, &tensor) || tensor.dtype != TW_FLOAT32 || tensor.length != sizeof degrees)
        return 0;
    __builtin_memcpy(&degrees, tensor.data, sizeof degrees);
    if (!(degrees > -200.0f && degrees < 200.0f))
        return 0;
    *change = (int32_t)(degrees * 1000.0f);
    return 1;
}

static int32_t on_answer(const tw_frame *answer)
{
    forecast made;
    int32_t change;
    if (!asked_count)
        return TW_OK;
    made = asked[asked_first];
    asked_first = (asked_first + 1) % ASKED_MOST;
    asked_count--;
    if (answer->kind != TW_RESULT || !read_change(answer, &change)) {
        today[made.station].unanswered++;
        today[made.station].refusal = answer->kind == TW_ERROR ? tw_error_code(answer) : TW_BAD_MESSAGE;
        unanswered++;
        if (complained)
            return TW_OK;
        complained = 1;
        return tw_log_text("the model has not answered; its forecasts are left out");
    }
    made.expected = (int32_t)((uint32_t)made.now + (uint32_t)change);
    due[made.station][(made.hour + made.ahead) % DUE_HOURS] = made;
    told[told_count++] = made;
    return told_count == STATIONS ? tell_forecasts() : TW_OK;
}

/* ---- Comparing ---- */

static uint32_t distance(int64_t one, int64_t other) { return (uint32_t)(one < other ? other - one : one - other); }

static void count(miss *into, uint32_t model, uint32_t persistence)
{
    into->count++;
    into->model += model;
    into->persistence += persistence;
}

/* Compares the forecast that is due in this hour, where there is one. */
static void judge(const reading *now)
{
    const forecast *made = &due[now->station][now->hour % DUE_HOURS];
    const int32_t observed = now->values[TEMPERATURE];
    if (!made->ahead || made->hour + made->ahead != now->hour || now->missing & 1u << TEMPERATURE)
        return;
    const uint32_t model = distance(made->expected, observed), persistence = distance(made->now, observed);
    count(made->held_out ? &today[now->station].held_out : &today[now->station].others, model, persistence);
    if (made->held_out)
        count(&total, model, persistence);
}

/* Publishes the open day, unless nothing came due in it. */
static int32_t close_day(void)
{
    forecast_error errors[STATIONS];
    uint32_t length = 0;
    for (uint32_t station = 0; station < STATIONS; station++) {
        forecast_error *one = &today[station];
        one->day = (uint16_t)day;
        one->station = (uint8_t)station;
        if (one->held_out.count || one->others.count || one->unanswered)
            errors[length++] = *one;
    }
    tw_fill(today, 0, sizeof today);
    unsummed = 0;
    return length ? tw_publish(ON_FORECAST_ERROR, TW_BYTES, errors, length * sizeof errors[0]) : TW_OK;
}

static int32_t on_reading(const reading *now)
{
    int32_t code = TW_OK;
    if (now->station >= STATIONS || now->hour > INT32_MAX)
        return TW_OK;
    if (windows[now->station].seen && now->hour <= windows[now->station].hour)
        return TW_OK;
    if (begun && now->hour / 24 > day)
        code = close_day();
    if (!begun || now->hour / 24 > day)
        day = now->hour / 24;
    begun = unsummed = 1;
    heard_tick = tw_tick();
    judge(now);
    remember(now);
    return code ? code : ask(now->station);
}

/* ---- The agent ---- */

static int32_t init(const tw_frame *config)
{
    learnt_days = (uint32_t)tw_config_whole(config, "learnt_days", 21);
    return learnt_days <= 31 ? TW_OK : TW_BAD_MESSAGE;
}

static int32_t receive(const tw_frame *message)
{
    if (message->kind == TW_MESSAGE && tw_length(message) == sizeof(reading))
        return on_reading((const reading *)tw_body(message));
    if ((message->kind == TW_RESULT || message->kind == TW_ERROR) && message->destination == (TW_MODEL | FORECAST_MODEL))
        return on_answer(message);
    return TW_OK;
}

/* The last day has no successor that would close it: a day without observations does. */
static int32_t step(const tw_context *context)
{
    const int32_t code = tell_forecasts();
    if (code)
        return code;
    if (!unsummed)
        return TW_UNTIL_MESSAGE;
    if (context->tick - heard_tick < QUIET_TICKS)
        return QUIET_TICKS;
    const int32_t closed = close_day();
    return closed ? closed : TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void)
{
    int32_t code = tw_metric("unanswered", (int64_t)unanswered);
    if (code == TW_OK && total.count) {
        code = tw_metric("forecasts", total.count);
        code = code ? code : tw_metric("model_error_milli", total.model / total.count);
        code = code ? code : tw_metric("persistence_error_milli", total.persistence / total.count);
    }
    return code;
}

TW_AGENT(init, receive, step, shutdown)
