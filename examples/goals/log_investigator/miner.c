/* Finds what the lines of a log have in common: each line becomes a pattern, in which words that hold a digit are a `*`, and
 * lines with equal patterns are counted together.
 *
 * A message holds lines. The reply is a line for each pattern, most lines first, of equals the earlier first: how many lines, the
 * first of them and the last, counted from 1, and the pattern, between tabs. Patterns beyond the table are counted as one.
 *
 * Source: the fixed-depth idea of He, Zhu, Zheng and Lyu, Drain, 2017, without its tree: here a table is enough. */
#define TW_INBOX_BYTES 1048576
#define TW_OUTBOX_BYTES 131072
#include "tickwork.h"

enum { MOST = 256, LONGEST = 200 };

static struct {
    char text[LONGEST];
    uint32_t length, count, first, last;
} patterns[MOST];

static uint32_t known, order[MOST];
static char said[120000];

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

static int parts_words(uint8_t byte) { return byte == ' ' || byte == '=' || byte == ':' || byte == ',' || byte == '(' || byte == ')' || byte == '\t'; }

/* Writes the pattern of a line, and returns its length. */
static uint32_t shape(const uint8_t *line, uint32_t length, char *pattern)
{
    uint32_t made = 0, at = 0;
    while (at < length && made < LONGEST) {
        uint32_t end = at;
        int digits = 0;
        while (end < length && !parts_words(line[end])) {
            digits |= line[end] >= '0' && line[end] <= '9';
            end++;
        }
        if (digits) {
            /* Numbers that follow each other, such as the parts of a time, are one. */
            if (made < 2 || pattern[made - 2] != '*')
                pattern[made++] = '*';
            else
                made--;
        } else {
            for (; at < end && made < LONGEST; at++)
                pattern[made++] = (char)line[at];
        }
        if (end < length && made < LONGEST)
            pattern[made++] = line[end] == '\t' ? ' ' : (char)line[end];
        at = end + 1;
    }
    return made;
}

static void count(const uint8_t *line, uint32_t length, uint32_t number)
{
    char pattern[LONGEST];
    const uint32_t made = shape(line, length, pattern);
    uint32_t place = 0;
    while (place < known && !(patterns[place].length == made && tw_equal(patterns[place].text, pattern, made)))
        place++;
    if (place == known && known < MOST - 1)
        known++;
    else if (place == known)
        place = MOST - 1;
    if (!patterns[place].count) {
        tw_copy(patterns[place].text, place == MOST - 1 ? "(others)" : pattern, place == MOST - 1 ? 8 : made);
        patterns[place].length = place == MOST - 1 ? 8 : made;
        patterns[place].first = number;
    }
    patterns[place].count++;
    patterns[place].last = number;
}

/* Puts the patterns in order: most lines first, and of equals the earlier first. */
static uint32_t sort(void)
{
    uint32_t placed = 0;
    for (uint32_t next = 0; next < MOST; next++) {
        uint32_t at = placed;
        if (!patterns[next].count)
            continue;
        for (; at && patterns[order[at - 1]].count < patterns[next].count; at--)
            order[at] = order[at - 1];
        order[at] = next;
        placed++;
    }
    return placed;
}

static int32_t receive(const tw_frame *message)
{
    tw_text text = tw_text_in(said, sizeof said);
    const uint8_t *lines = tw_body(message);
    const uint32_t length = tw_length(message);
    uint32_t from = 0, number = 0;
    if (message->kind != TW_MESSAGE)
        return TW_OK;
    while (from < length) {
        uint32_t to = from;
        while (to < length && lines[to] != '\n')
            to++;
        number++;
        if (to > from)
            count(lines + from, to - from, number);
        from = to + 1;
    }
    const uint32_t placed = sort();
    for (uint32_t index = 0; index < placed; index++) {
        const uint32_t place = order[index];
        tw_add_whole(&text, patterns[place].count);
        tw_add_text(&text, "\t");
        tw_add_whole(&text, patterns[place].first);
        tw_add_text(&text, "\t");
        tw_add_whole(&text, patterns[place].last);
        tw_add_text(&text, "\t");
        tw_add(&text, patterns[place].text, patterns[place].length);
        tw_add_text(&text, "\n");
    }
    if (text.cut)
        return TW_TOO_BIG;
    return tw_reply(message, TW_BYTES, said, text.length);
}

TW_AGENT(init, receive, step, shutdown)
