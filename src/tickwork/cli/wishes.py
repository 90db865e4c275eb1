"""The arguments and options that commands of goals and plans share. Nothing is loaded, so that ``--help`` is quick."""

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

PlanReference = Annotated[str, Parameter(help="A file of TOML or JSON, or the name of a plan in .tickwork/plans.")]
ForProfile = Annotated[
    str, Parameter(help="Whose skills, budget and rules hold; without it every skill of this machine may be used.")
]
WhichRun = Annotated[str, Parameter(help="The run, by its id or the beginning of it.")]
StepPath = Annotated[str, Parameter(help="The step, such as load, each[3] or outer/load.")]

ApprovalId = Annotated[str, Parameter(help="The approval, by its id or the beginning of it.")]
Comment = Annotated[str, Parameter(help="Why; kept with the answer.")]
Digest = Annotated[
    str,
    Parameter(help="SHA-256 of the arguments that you looked at, as show tells it; refused if it is another by now."),
]

Whose = Annotated[str, Parameter(name="--profile", help="Whose memory: the name of a profile.")]
WhichArtifact = Annotated[str, Parameter(help="Its id, its name, or eight or more digits of its digest.")]
