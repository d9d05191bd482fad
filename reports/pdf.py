"""The report as PDF, through typst. The look is templates/report.typ, which reads the data model as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from core.files import atomic_path
from reports.model import Report

# Dates inside a file would make equal reports differ; this one is as good as any.
_TIMESTAMP = datetime(2000, 1, 1, tzinfo=UTC)


TEMPLATE = Path(__file__).parent / "templates" / "report.typ"


def fonts_folder() -> Path:
    """The letters that come with matplotlib, wherever it is."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def render(report: Report, folder: Path, path: Path) -> None:
    """Write the PDF.

    Only fonts that come with typst and matplotlib are used, so that every machine sets the same pages.

    Args:
        report: the numbered report.
        folder: holds figures/.
        path: of the PDF file.
    """
    import typst

    # typst's annotations want source, root and fonts to be of one type; the function does not.
    pages = typst.compile(  # type: ignore[call-overload]
        TEMPLATE.read_bytes(),
        root=str(folder.resolve()),
        font_paths=[str(fonts_folder())],
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs={"report": report.model_dump_json()},
        timestamp=_TIMESTAMP,
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(pages)
