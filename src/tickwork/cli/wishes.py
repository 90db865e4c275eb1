"""The options that commands share which make runs of goals and plans, or tell them something. Nothing is loaded."""

from typing import Annotated

from cyclopts import Parameter

Inputs = Annotated[
    list[str] | None,
    Parameter(name=["--input", "--set"], negative="", help="NAME=VALUE, an input; JSON where it is no text."),
]
ProfileName = Annotated[str, Parameter(name="--profile", help="On whose behalf: the name of a profile.")]
Key = Annotated[str, Parameter(help="The same key is the same run, however often the command is given.")]
NoWork = Annotated[
    bool, Parameter(name="--no-work", negative="", help="Only note it; `tickwork work` goes on with the run.")
]
By = Annotated[str, Parameter(help="Who says so; by default the user of this machine.")]
Tags = Annotated[list[str] | None, Parameter(name="--tag", negative="", help="A word to find the run by.")]
