/* The limit of a turn: everything that must happen and nothing else, in C.
 *
 * For each agent: its turn's context and one message in, fuel set, tw_turn called, fuel read, its outbox out. The stores and the engine's
 * functions are those of the process that loads this; only their addresses come in. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    void *context;
    const void *function;
    uint8_t *turn_context;
    uint8_t *inbox;
    uint8_t *outbox;
    uint64_t argument;
} agent;

typedef struct {
    uint64_t tick, seed, fuel, wall_us;
    uint32_t number, in_bytes, in_count, out_bytes, out_count, reserved[3];
} turn_context;

typedef struct {
    void *(*set_fuel)(void *, uint64_t);
    void *(*get_fuel)(void *, uint64_t *);
    void *(*call)(void *, const void *, void *, size_t, void **);
} engine;

static uint8_t kept[1 << 16];

/* Returns the fuel that all turns used, or -1 if one failed. */
int64_t run_turns(const engine *with, const agent *agents, uint32_t count, uint64_t rounds, uint64_t fuel, const uint8_t *message,
                  uint32_t bytes)
{
    int64_t used = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t number = 0; number < count; number++) {
            const agent *one = &agents[number];
            turn_context now = {.tick = round, .seed = number, .fuel = fuel, .number = number, .in_bytes = bytes, .in_count = 1};
            uint64_t cells[2] = {one->argument, 0}, left = 0;
            void *trap = NULL;
            memcpy(one->inbox, message, bytes);
            memcpy(one->turn_context, &now, sizeof now);
            with->set_fuel(one->context, fuel);
            if (with->call(one->context, one->function, cells, 1, &trap) || trap || (int32_t)cells[0] < 0)
                return -1;
            with->get_fuel(one->context, &left);
            used += (int64_t)(fuel - left);
            memcpy(&now, one->turn_context, sizeof now);
            if (now.out_bytes > sizeof kept)
                return -1;
            memcpy(kept, one->outbox, now.out_bytes);
        }
    }
    return used;
}
