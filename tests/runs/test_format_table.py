"""Tables fit their terminal, whatever stands in them."""

import pytest

from a3c_exp.runs.format_table import Column, Terminal, TextCell, display_width, format_table, shorten_middle


@pytest.mark.parametrize("width", [8, 20, 40, 200])
def test_no_line_of_a_table_is_wider_than_its_terminal(width: int) -> None:
    columns = [Column("run"), Column("status", drop_rank=0), Column("a", True, 3), Column("b", True, 2)]
    rows = [
        [TextCell("漢字" * 20 + "end"), TextCell("ok"), TextCell("1"), TextCell("22222")],
        TextCell("heading " * 9),
        [TextCell("x")] * 4,
    ]
    text = format_table(columns, rows, Terminal(width=width))
    assert max(map(display_width, text.splitlines())) <= max(width, 8 + 2 + len("status"))
    assert ("22222" in text) == (width >= 40)
    assert "end" in text


def test_a_shortened_text_keeps_both_ends() -> None:
    assert shorten_middle("abcdef", 5) == "ab\N{HORIZONTAL ELLIPSIS}ef"
    assert shorten_middle("abc", 3) == "abc"
    assert all(display_width(shorten_middle("漢字" * 9, width)) <= width for width in range(2, 30))
