"""The searches of a results folder as sections of its page."""

from pathlib import Path

from bench.errors import SslbenchError
from bench.reports.page.model import Section
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.runtime import available
from bench.tuning import summary as summaries
from bench.tuning.show import plain, title
from bench.tuning.summary import Summary

INTRODUCTION = (
    "The same search for every method (sslbench tune): the shipped recipe and points of the method's own search space, each trained and "
    "measured on the development task. The winners are measured on the test set, in a table of their own next to that of the shipped recipes."
)


def sections(results: Path) -> tuple[list[Section], list[str]]:
    """Return the searches of a results folder, and one line for each summary that cannot be shown."""
    found, missing = [], []
    for path in sorted((results / summaries.FOLDER).glob("*/trials-*.json")):
        try:
            summary = summaries.read(path)
            if summary is not None:
                found.append(_section(summary))
        except SslbenchError as error:
            missing.append(str(error))
    return found, missing


def _section(summary: Summary) -> Section:
    table = plain(summary)
    pictures: tuple[Picture, ...] = ()
    if available():
        from bench.reports.pictures.best_of import picture

        curves = {m.method: [(b.trials, b.mean, b.low, b.high) for b in m.curve] for m in summary.methods}
        drawn = picture(title(summary), curves, summary.measured_on)
        pictures = () if drawn is None else (drawn,)
    return Section(
        name=title(summary),
        title=f"Tuned: {title(summary)}",
        introduction=(INTRODUCTION,),
        headings=table.headings,
        rows=table.rows,
        legend=table.legend,
        findings=table.findings,
        notes=(*table.details, *table.failures),
        notes_title="Winners and failed trials",
        pictures=pictures,
        group="Tuned",
    )
