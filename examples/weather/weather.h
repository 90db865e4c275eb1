/* The records the agents of this example exchange. Little-endian, fixed size; report.py reads the same layout.
 *
 * Numbers are whole thousandths (milli-units) of what the observations are given in: 39.02 degrees are 39020. Integer arithmetic only,
 * so every machine computes the same bits. */
#ifndef WEATHER_H
#define WEATHER_H

#include <stdint.h>

enum { STATIONS = 3, VARIABLES = 8 };

/* Variables, in the order of the columns of the observations. */
enum { TEMPERATURE, DEW_POINT, HUMIDITY, WIND_DIRECTION, WIND_SPEED, PRESSURE, PRECIPITATION, VISIBILITY };

/* How an anomaly was seen: far from what the hour of the day is used to, or far from the hour before. */
enum { BY_LEVEL, BY_CHANGE };

/* Topic sensor_data: one observation. */
typedef struct reading {
    uint32_t hour; /* Since 2013-01-01 00:00 Eastern Standard Time. */
    uint16_t station;
    uint16_t missing; /* Bit v: variable v was not observed and its value is 0. */
    int32_t values[VARIABLES];
} reading;

/* Topic anomaly: one variable has just become unusual at one station. */
typedef struct anomaly {
    uint32_t hour;
    uint8_t station;
    uint8_t variable;
    uint8_t detector;
    uint8_t reserved;
    int32_t value;
    int32_t expected;
    uint32_t score_milli; /* Distance in thousandths of the usual deviation. */
} anomaly;

/* Topic region: the same variable became unusual at two or three stations within hours. Sent again when another station joins. */
typedef struct region {
    uint32_t first_hour;
    uint32_t last_hour;
    uint8_t variable;
    uint8_t stations; /* Bit s: station s takes part. */
    uint16_t reserved;
    uint32_t peak_milli; /* The highest score among them. */
} region;

/* Topics correlation (the last two weeks, retained) and summary (one calendar month): up to six of these in one message, one for each
 * pair of stations and compared variable. */
typedef struct agreement {
    uint32_t hour;
    uint8_t first;
    uint8_t second;
    uint8_t variable;
    uint8_t month; /* 1 to 12 for a summary, 0 for a sliding window. */
    uint32_t count; /* Hours in which both stations have a value. */
    int32_t correlation_milli;
    int32_t difference_milli; /* Mean of first minus second. */
} agreement;

/* Topic forecast: what a station's temperature will be, as the model has just answered. Up to three in one message. */
typedef struct forecast {
    uint32_t hour; /* From whose observation it was made. */
    uint8_t station;
    uint8_t ahead;    /* It is due so many hours later. */
    uint8_t held_out; /* 1: the model has learnt from none of the hours from its first input to the one it is due in. */
    uint8_t reserved;
    int32_t now;
    int32_t expected;
} forecast;

/* How far forecasts lay off in sum, and how far the forecast that nothing changes did. */
typedef struct miss {
    uint32_t count;
    uint32_t model;
    uint32_t persistence;
} miss;

/* Topic forecast_error: the forecasts of one station that came due on one day. Up to three in one message, one for each station. */
typedef struct forecast_error {
    uint16_t day; /* Since 2013-01-01. */
    uint8_t station;
    uint8_t reserved;
    miss held_out;
    miss others;
    uint32_t unanswered; /* Requests that the model did not answer that day. */
    int32_t refusal;     /* Why the last of them was not; 0 where all were answered. */
} forecast_error;

#endif
