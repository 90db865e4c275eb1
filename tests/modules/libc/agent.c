/* Uses a C library where it can reach nothing: what it prints becomes log frames, its clock is the tick. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tickwork.h"

static int turns;

static int32_t init(const tw_frame *config)
{
    const char *text = (const char *)tw_body(config);
    if (tw_length(config) >= 8 && strstr(text, "leave"))
        exit(7);
    printf("begun by %s\n", getenv("HOME") ? "somebody" : "nobody");
    return TW_OK;
}

static int32_t receive(const tw_frame *message)
{
    printf("heard %u bytes: %.*s\n", tw_length(message), (int)tw_length(message), (const char *)tw_body(message));
    return TW_OK;
}

static int32_t step(const tw_context *context)
{
    struct timespec now;
    uint64_t chance = 0;
    char *kept = malloc(100);
    (void)context;
    if (clock_gettime(CLOCK_MONOTONIC, &now) || getentropy(&chance, sizeof chance) || !kept)
        return TW_FAILED;
    snprintf(kept, 100, "%d turns", ++turns);
    printf("%s, %ld.%09ld s, time %ld, %016llx, %.3f\n", kept, (long)now.tv_sec, now.tv_nsec, (long)time(NULL),
           (unsigned long long)chance, turns / 3.0);
    free(kept);
    if (turns == 1) {
        FILE *file = fopen("/etc/passwd", "r");
        fprintf(stderr, "a file: %s, %s\n", file ? "open" : "none", strerror(errno));
        fprintf(stderr, "written: %s\n", fopen("out.txt", "w") ? "yes" : "no");
    }
    if (turns == 2) {
        char large[500];
        int whole = 0;
        memset(large, 'x', sizeof large);
        while (write(1, large, sizeof large) > 0)
            whole++;
        turns = whole << 8 | errno; /* Told in the next turn. */
    }
    return turns < 5 || turns > 255 ? 0 : TW_UNTIL_MESSAGE;
}

static int32_t shutdown(void)
{
    puts("ended");
    return TW_OK;
}

TW_AGENT(init, receive, step, shutdown)
