import pytest

from tickwork.plane.extras import missing_package


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("psycopg.rows", "postgres"),
        ("mcp", "mcp"),
        ("trafilatura", "web"),
        ("pydantic", "goals"),
        ("playwright", "browser"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(module: str, extra: str) -> None:
    error = missing_package(ImportError(name=module))
    assert error.code == "TW7020"
    assert module.partition(".")[0] in error.what
    assert error.fix == f"pip install 'tickwork[{extra}]'"
