"""Write the page of a results folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.atomic import check_target, write_text
from bench.errors import SslbenchError
from bench.leaderboard.read import read_records
from bench.leaderboard.tables import Leaderboard
from bench.records.store import Problem
from bench.reports.page.collect import Drawn, Folder, all_tables, collect
from bench.reports.page.document import to_html
from bench.reports.page.model import Section

NAME = "report.html"
"""Name of the page in its results folder."""
NO_PICTURES = "The page has no pictures: they need altair and vl-convert-python, pip install 'sslbench[report]'."


@dataclass(frozen=True)
class Written:
    """A page that was written.

    Attributes:
        path: Its file.
        problems: Files of the results folders that are not records.
        notices: What is missing in the page, one line each.
    """

    path: Path
    problems: Sequence[Problem]
    notices: Sequence[str]


def write_report(results: Sequence[Path], out: Path | None = None, studies: Sequence[Section] = ()) -> Written:
    """Write the page of the first results folder, compared with each of the others; the file is replaced as a whole.

    Args:
        results: Results folders, at least one.
        out: The file to write; by default ``report.html`` in the first folder.
        studies: The studies of the first folder.

    Raises:
        SslbenchError: A results folder does not exist, has no records, or the file cannot be written.
    """
    target = out or results[0] / NAME
    check_target(target)
    folders, problems = [], []
    for path in results:
        records, found = read_records(path)
        if not records:
            raise SslbenchError(
                f"no records in {path}: create them with `sslbench run`, or choose another folder with --results"
            )
        folders.append(Folder(path, records))
        problems += found
    leaderboard = all_tables(folders[0])
    drawn, notices = draw(leaderboard, folders[0], studies)
    if problems:
        notices.append(f"Files that are not records and were left out: {len(problems)}.")
    page = collect(folders, leaderboard, studies, drawn, notices)
    write_text(target, to_html(page))
    return Written(target, problems, notices)


def draw(leaderboard: Leaderboard, folder: Folder, sections: Sequence[Section] = ()) -> tuple[Drawn | None, list[str]]:
    """Return the pictures of the tables, with the plots of the sections; without the libraries, None and the line that says how to get them."""
    from bench.reports.pictures.runtime import available, compiled, script

    if not available():
        return None, [NO_PICTURES]
    from bench.reports.pictures.all_pictures import pictures_of

    pictures = pictures_of(leaderboard, folder.records, folder.path)
    of_sections = [picture for section in sections for picture in section.pictures]
    charts = {picture.id: compiled(picture.chart) for picture in [*pictures, *of_sections]}
    return (Drawn(pictures, charts, script()) if charts else None), []
