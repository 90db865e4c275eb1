/* A chart of a month as SVG: for each day a bar from its lowest to its highest temperature, and its rain from below.
 *
 * A message holds a line for each day: the day, the lowest and the highest temperature in degrees Fahrenheit, the rain in inches,
 * between commas, each with at most three decimals. The reply is the picture. */
#define TW_INBOX_BYTES 16384
#define TW_OUTBOX_BYTES 65536
#include "tickwork.h"

enum { DAYS = 31, WIDTH = 760, HEIGHT = 320, LEFT = 44, TOP = 20, FLOOR = 270, STEP = 22, BAR = 12, WARMEST = 110, COLDEST = -10 };

static char picture[32768];

static int32_t init(const tw_frame *config)
{
    (void)config;
    return TW_OK;
}

static int32_t step(const tw_context *context)
{
    (void)context;
    return TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void) { return TW_OK; }

/* Returns where a temperature of so many thousandths of a degree lies, in thousandths of a unit. */
static int64_t height(int64_t temperature) { return FLOOR * 1000ll - (temperature - COLDEST * 1000ll) * (FLOOR - TOP) / (WARMEST - COLDEST); }

static void add_number(tw_text *svg, const char *before, int64_t thousandths, const char *after)
{
    tw_add_text(svg, before);
    tw_add_fixed(svg, thousandths, 3);
    tw_add_text(svg, after);
}

static void rect(tw_text *svg, int64_t x, int64_t y, int64_t wide, int64_t high, const char *colour)
{
    add_number(svg, "<rect x=\"", x, "\" ");
    add_number(svg, "y=\"", y, "\" ");
    add_number(svg, "width=\"", wide, "\" ");
    add_number(svg, "height=\"", high, "\" fill=\"");
    tw_add_text(svg, colour);
    tw_add_text(svg, "\"/>\n");
}

static void label(tw_text *svg, int64_t x, int64_t y, int64_t value)
{
    add_number(svg, "<text x=\"", x, "\" ");
    add_number(svg, "y=\"", y, "\">");
    tw_add_whole(svg, value);
    tw_add_text(svg, "</text>\n");
}

static void axes(tw_text *svg)
{
    tw_add_text(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 320\" font-family=\"sans-serif\" font-size=\"10\" "
                     "text-anchor=\"middle\">\n<rect width=\"760\" height=\"320\" fill=\"#fff\"/>\n");
    for (int64_t degrees = 0; degrees <= 100; degrees += 20) {
        rect(svg, LEFT * 1000, height(degrees * 1000), (WIDTH - LEFT - 10) * 1000, 300, "#ccc");
        label(svg, (LEFT - 16) * 1000, height(degrees * 1000) + 3000, degrees);
    }
    tw_add_text(svg, "<text x=\"44\" y=\"312\" text-anchor=\"start\">red: from the lowest to the highest temperature, F; blue: rain, an inch as high as 20 F"
                     "</text>\n");
}

/* Draws one day. Returns 0 where the line is none. */
static int draw(tw_text *svg, tw_line line)
{
    const uint8_t *field;
    uint32_t length;
    int64_t day, low, high, rain;
    if (!tw_field(&line, ',', &field, &length) || tw_parse_whole(field, length, &day) || day < 1 || day > DAYS)
        return 0;
    if (!tw_field(&line, ',', &field, &length) || tw_parse_fixed(field, length, 3, &low))
        return 0;
    if (!tw_field(&line, ',', &field, &length) || tw_parse_fixed(field, length, 3, &high) || high < low)
        return 0;
    if (!tw_field(&line, ',', &field, &length) || tw_parse_fixed(field, length, 3, &rain) || rain < 0)
        return 0;
    const int64_t x = (LEFT + (day - 1) * STEP + 6) * 1000;
    const int64_t wet = rain * (FLOOR - TOP) / 6, most = (FLOOR - TOP) * 1000;
    rect(svg, x - 2000, FLOOR * 1000 - (wet < most ? wet : most), (BAR + 4) * 1000, wet < most ? wet : most, "#9cc4ee");
    rect(svg, x, height(high), BAR * 1000, height(low) - height(high) + 500, "#d2603a");
    label(svg, x + BAR * 500, (FLOOR + 14) * 1000, day);
    return 1;
}

static int32_t receive(const tw_frame *message)
{
    tw_text svg = tw_text_in(picture, sizeof picture);
    const uint8_t *text = tw_body(message);
    const uint32_t length = tw_length(message);
    uint32_t from = 0;
    if (message->kind != TW_MESSAGE)
        return TW_OK;
    axes(&svg);
    while (from < length) {
        uint32_t to = from;
        while (to < length && text[to] != '\n')
            to++;
        if (to > from && !draw(&svg, tw_line_of(text + from, to - from)))
            return TW_BAD_MESSAGE;
        from = to + 1;
    }
    tw_add_text(&svg, "</svg>\n");
    if (svg.cut)
        return TW_TOO_BIG;
    return tw_reply(message, TW_BYTES, picture, svg.length);
}

TW_AGENT(init, receive, step, shutdown)
