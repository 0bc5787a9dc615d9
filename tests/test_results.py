"""Results stand beside their bands, and a build outside them fails."""

import statistics
import tomllib
from pathlib import Path

import pytest

from llm_core.course import results

ROOT = Path(__file__).parents[1]
EXPECTED = ROOT / "notebooks" / "expected.toml"
TOML = """
[chapter_02]
seconds = 12

[chapter_02.bytes_per_token]
text = "bytes per token"
low = 2.05
high = 2.25

[chapter_02.vocabulary]
text = "vocabulary"
low = 1024
high = 1024
"""
GOOD = {"bytes_per_token": 2.13, "vocabulary": 1024}


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Work in a folder with bands; return the list of what is displayed."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "expected.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.delenv("LLM_CORE_STRICT", raising=False)
    displayed = []
    monkeypatch.setattr(results, "display", lambda *a, **k: displayed.append((a, k)))
    return displayed


def report(shown) -> str:
    [((made,), _)] = shown
    return repr(made)


def test_a_reader_sees_both_numbers(shown):
    results.report_results("02", **GOOD)
    assert "bytes per token  2.130  2.050 to 2.250  as expected" in report(shown)
    assert "vocabulary       1,024  1,024           as expected" in report(shown)
    assert "it takes about 12 s" in report(shown)


def test_a_reader_outside_the_band_gets_advice_and_no_error(shown):
    results.report_results("02", **GOOD | {"bytes_per_token": 2.26})
    assert "2.260  2.050 to 2.250  outside" in report(shown)
    assert "Restart the kernel" in report(shown)


@pytest.mark.parametrize("value", [2.26, 2.04, float("nan")])
def test_a_build_outside_the_band_fails(shown, monkeypatch, value):
    monkeypatch.setenv("LLM_CORE_STRICT", "1")
    with pytest.raises(results.OutsideBand, match="bytes_per_token"):
        results.report_results("02", **GOOD | {"bytes_per_token": value})


def test_a_build_that_leaves_a_band_out_fails(shown, monkeypatch):
    monkeypatch.setenv("LLM_CORE_STRICT", "1")
    with pytest.raises(results.OutsideBand, match="vocabulary"):
        results.report_results("02", bytes_per_token=2.13)


def test_a_build_inside_the_bands_passes(shown, monkeypatch):
    monkeypatch.setenv("LLM_CORE_STRICT", "1")
    results.report_results("02", **GOOD)


def test_the_ends_belong_to_the_band(shown):
    band = results.Band("", 2.05, 2.25)
    assert [band.holds(x) for x in (2.05, 2.25, 2.049)] == [True, True, False]


def test_a_result_without_a_band_is_a_mistake_of_the_chapter(shown):
    with pytest.raises(ValueError, match="no band for pace"):
        results.report_results("02", pace=1.0)
    with pytest.raises(ValueError, match="chapter_07"):
        results.report_results("07", pace=1.0)


def test_the_bands_are_found_from_the_notebooks_and_from_above(shown, tmp_path):
    path = tmp_path / "notebooks" / "expected.toml"
    assert results.find_expected(tmp_path) == path
    assert results.find_expected(tmp_path / "notebooks" / "deeper") == path


def test_all_bands_can_be_shown_at_once(shown):
    expected = results.expected_results()
    assert repr(expected).splitlines() == [
        "02  bytes per token: 2.050 to 2.250",
        "02  vocabulary: 1,024",
    ]
    assert "<td" in expected._repr_html_()
    assert "2.050 to 2.250" in expected._repr_html_()


def test_html_is_escaped():
    band = {"x": results.Band("a < b", 1, 1)}
    assert "a &lt; b" in results.Report({"x": 1}, band, "")._repr_html_()


def test_glue_keeps_numbers_and_texts_without_showing_them(shown):
    torch = pytest.importorskip("torch")
    results.glue(size=512, share=torch.tensor(0.5), word="hug")
    prefix = "application/papermill.record/"
    data = [args[0][f"{prefix}text/plain"] for args, _ in shown]
    assert data == ["512", "0.5", "'hug'"]
    assert [k["metadata"]["scrapbook"]["name"] for _, k in shown] == [
        "size",
        "share",
        "word",
    ]
    assert all(kwargs["raw"] for _, kwargs in shown)


def bands():
    content = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))
    for chapter, section in content.items():
        for name, table in section.items():
            if name != "seconds":
                yield pytest.param(table, id=f"{chapter}.{name}")


@pytest.mark.parametrize("table", list(bands()))
def test_a_band_is_no_wider_than_chance(table):
    """No wider than three standard deviations over five seeds, or 2 %."""
    measured = table["measured"]
    assert len(measured) >= 5
    centre, spread = statistics.fmean(measured), statistics.stdev(measured)
    width = table["high"] - table["low"]
    assert width <= max(3 * spread, 0.02 * abs(centre)) * 1.001
    assert all(table["low"] <= value <= table["high"] for value in measured)


def test_every_chapter_has_bands_and_every_band_a_chapter():
    content = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))
    chapters = {f"chapter_{path.name[:2]}" for path in EXPECTED.parent.glob("*.ipynb")}
    assert set(content) == chapters
