import pytest

from reports.markdown import escaped
from reports.model import Cell, Column, Figure, Pair, Paragraph, Report, Row, Section, Table, numbered, text


def _figure(name):
    return Figure(identifier=name, caption=text("x"), alternative="x")


def _table(name, caption="x"):
    return Table(identifier=name, caption=text(caption), columns=[Column(key="a", label="A")],
                 rows=[Row(cells=[Cell(text="1", value=1)])])  # fmt: skip


def _report(*blocks):
    return Report(title="t", subtitle=text("s"), sections=[Section(identifier="s", title="S", blocks=list(blocks))])


def test_text_knows_its_three_marks_and_leaves_the_rest_alone():
    spans = text("a `b*` **c** [[d-1]] [e] *f*")
    assert [(span.style, span.text, span.target) for span in spans] == [
        ("plain", "a ", ""), ("code", "b*", ""), ("plain", " ", ""), ("strong", "c", ""), ("plain", " ", ""),
        ("reference", "", "d-1"), ("plain", " [e] *f*", ""),
    ]  # fmt: skip


def test_tables_and_figures_are_counted_apart_and_in_order_and_references_follow():
    report = numbered(
        _report(_table("one", "see [[two]] and [[right]]"), Pair(left=_figure("left"), right=_figure("right")),
                _table("two"), Paragraph(text=text("[[s]]")))
    )  # fmt: skip
    assert [(table.identifier, table.number) for table in report.tables()] == [("one", 1), ("two", 2)]
    assert [(figure.identifier, figure.number) for figure in report.figures()] == [("left", 1), ("right", 2)]
    assert "".join(span.text for span in report.tables()[0].caption) == "see Table 2 and Figure 2"
    assert report.sections[0].blocks[-1].text[0].text == "Section 1"


def test_a_reference_to_nothing_and_a_name_used_twice_are_refused():
    with pytest.raises(ValueError, match="not in it"):
        numbered(_report(Paragraph(text=text("[[nowhere]]"))))
    with pytest.raises(ValueError, match="two parts"):
        numbered(_report(_table("one"), _table("one")))


def test_a_row_must_fill_its_table():
    with pytest.raises(ValueError, match="2 cells"):
        Table(identifier="t", caption=[], columns=[Column(key="a", label="A")],
              rows=[Row(cells=[Cell(text="1"), Cell(text="2")])])  # fmt: skip


def test_markdown_signs_are_made_harmless():
    assert escaped("a|b *c* <d> [e](f) & _g_\n#h") == r"a\|b \*c\* \<d\> \[e\](f) &amp; \_g\_ \#h"
