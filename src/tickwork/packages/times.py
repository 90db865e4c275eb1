"""Times as trust files write them: days, and moments of UTC."""

import re
from typing import Final

FOREVER: Final = (1 << 63) - 1
"""After every moment that a clock can say. Units: microseconds."""

DAY_US: Final = 86_400_000_000

_FORM: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)Z)?", re.ASCII)
_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def parse_time(text: str) -> int:
    """Return the moment that ``2026-05-31`` (its beginning) or ``2026-05-31T12:00:00Z`` names.

    Units: microseconds since 1970, UTC.

    Raises:
        ValueError: The text has another form, or there is no such moment.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time; write 2026-05-31 or 2026-05-31T12:00:00Z")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    if not year >= 1970 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{text!r} is no moment since 1970")
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS[month - 1] + leap:
        raise ValueError(f"{text!r}: that month has no such day")
    return ((_day_number(year, month, day) * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000


def format_time(moment_us: int) -> str:
    """Return a moment to the second. Law: ``parse_time(format_time(t)) == t`` for whole seconds before the year 10000.

    Args:
        moment_us: Units: microseconds since 1970, UTC.
    """
    days, rest = divmod(moment_us, DAY_US)
    seconds = rest // 1_000_000
    # Years of March to February: the leap day comes last. Source: Howard Hinnant, chrono-compatible date algorithms.
    shifted = days + 719_468
    era, of_era = divmod(shifted, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (month <= 2)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}Z"


def _day_number(year: int, month: int, day: int) -> int:
    """Return the days since 1970. Source: as in ``format_time``, the other way round."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + of_year - 719_468
