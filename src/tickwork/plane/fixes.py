"""What to do about what runs fail with, by code: a failure is data of the journal, and holds no advice.

Advice may become better, and a record stays as it is. The pages of the errors say more.
"""

import re
from collections.abc import Mapping
from typing import Final

_CODE: Final = re.compile(r"(?:^|: )(TW[0-9]{4})\b")

FIXES: Final[Mapping[str, str]] = {
    "TW4003": "see whether the call has happened, then run again: tickwork rerun RUN",
    "TW7001": "see all that is wrong with the plan: tickwork plan validate PLAN --profile PROFILE",
    "TW7002": "name a file, or a plan of .tickwork/plans",
    "TW7003": "see which skills there are with `tickwork skill list`, then run again: tickwork rerun RUN",
    "TW7004": "mend the skill's settings in .tickwork/skills.toml, and `tickwork allow` them",
    "TW7005": "allow or grant it with `tickwork profile set PROFILE`, or agree next time; then: tickwork rerun RUN",
    "TW7006": "mend the step's params: `tickwork skill show SKILL` has what it takes",
    "TW7007": "tell the author of the skill: its result is not what it promises",
    "TW7008": "give the step retry, a fallback or on_error, or mend what it was called with; then: tickwork rerun RUN",
    "TW7009": "give the step a longer timeout, or ask for less at once",
    "TW7010": "raise the limit with `tickwork profile set PROFILE` or in the plan's budget, or ask for less",
    "TW7013": "a person has ended it; to do it again: tickwork rerun RUN",
    "TW7014": "see the profiles with `tickwork profile list`",
    "TW7015": "mend the profile: tickwork profile set PROFILE",
    "TW7016": "say the goal in the words of a plan of .tickwork/plans, or name what is missing with --input",
    "TW7017": "compare .tickwork/providers.toml with what the provider asks for",
    "TW7018": "see that the disk has room and the store can be written, then: tickwork work",
    "TW7020": "install what is missing: pip install 'tickwork[goals]'",
    "TW7022": "mend the expression in the plan",
    "TW7023": "ask with has(...) before reading what may be absent",
    "TW7024": "grant the host: tickwork profile set PROFILE --host HOST",
    "TW7025": "grant the folder with `tickwork profile set PROFILE --read FOLDER` or --write, or keep to those granted",
    "TW7026": "start the server by hand and see what it says; if it offers others now: tickwork skill accept SERVER",
    "TW7027": "see the artifacts with `tickwork artifact list`",
    "TW7029": 'ask for less, or keep it as an artifact: format = "artifact"',
    "TW7030": "name the database under `writable` in the grants of the profile, or keep to one SELECT",
}
"""Of each code that the failure of a run may have. RUN and PROFILE stand for those of the run."""


def code_in(reason: str) -> str:
    """Return the code in the reason of a run; empty for none."""
    found = _CODE.search(reason)
    return found[1] if found is not None else ""


def fix_of(reason: str, run_id: str = "RUN", profile: str = "PROFILE") -> str:
    """Return what to do about the reason of a run; empty where it names no code that there is advice for."""
    return FIXES.get(code_in(reason), "").replace("RUN", run_id).replace("PROFILE", profile)
