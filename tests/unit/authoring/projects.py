"""Projects for tests to build."""

import os
from pathlib import Path

from tests.support import ROOT
from tickwork.authoring.project import Project, read_project
from tickwork.authoring.sdk import template_folder
from tickwork.authoring.templates import write_template
from tickwork.authoring.toolchain import Environment

ENVIRONMENT = Environment(dict(os.environ), ROOT / ".cache" / "toolchains")

TOML = """name = "small"
version = "1.2.3"
language = "{language}"
[build]
pages = 3
stack_bytes = 8192
[capabilities]
publish = ["out"]
"""

SOURCE = """#include "tickwork.h"
static int32_t init(const tw_frame *config) { (void)config; return TW_OK; }
static int32_t receive(const tw_frame *message) { (void)message; return TW_OK; }
static int32_t step(const tw_context *context) { (void)context; return TW_UNTIL_MESSAGE; }
static int32_t shutdown(void) { return TW_OK; }
TW_AGENT(init, receive, step, shutdown)
"""


def small(folder: Path, language: str = "c", source: str = SOURCE) -> Project:
    """Return a project of one source file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agent.toml").write_text(TOML.format(language=language), encoding="utf-8")
    (folder / f"agent.{language}").write_text(source, encoding="utf-8")
    return read_project(folder)


def begun(folder: Path, language: str, name: str = "begun") -> Project:
    """Return a project made from a language's template."""
    write_template(template_folder(language), folder, name)
    return read_project(folder)
