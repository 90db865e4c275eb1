"""The weather report as a person meets it: opened in a browser."""

import subprocess
from pathlib import Path

import pytest

from tests.support import need
from tests.unit.examples.test_weather_report import artifacts

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)


@pytest.mark.slow
def test_a_browser_opens_the_report_without_a_complaint_or_a_request(tmp_path: Path) -> None:
    browser = need("chromium")
    page = tmp_path / "report.html"
    page.write_bytes(artifacts(8760)["report.html"])
    opened = subprocess.run(
        [browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "A year of New York weather" in opened.stdout
    assert opened.stdout.count("<svg") >= 4
    assert "CONSOLE" not in opened.stderr
    assert "http" not in opened.stdout.replace("http://www.w3.org", "")
