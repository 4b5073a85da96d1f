"""The mean rank of every method, with its interval."""

from bench.leaderboard.tables import Table
from bench.printable import printable
from bench.reports.numbers import title
from bench.reports.pictures.measured import measured_on, rounded
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.theme import PALETTE, finished


def ranks(table: Table, id: str) -> Picture | None:
    """Return the ranks of the methods of a table; None if fewer than two are ranked."""
    import altair as alt

    ranked = sorted((r for r in table.rows if r.rank is not None), key=lambda r: (r.rank or 0, r.label))
    if len(ranked) < 2:
        return None
    data = []
    for r in ranked:
        entry = {"method": printable(r.label), "rank": rounded(r.rank)}
        if r.rank_interval is not None:
            entry |= {"low": rounded(r.rank_interval[0]), "high": rounded(r.rank_interval[1])}
        data.append(entry)
    intervals = any(r.rank_interval is not None for r in ranked)
    tooltip = [alt.Tooltip("method:N"), alt.Tooltip("rank:Q")]
    tooltip += [alt.Tooltip("low:Q", title="from"), alt.Tooltip("high:Q", title="to")] if intervals else []
    base = alt.Chart(alt.InlineData(values=data)).encode(y=alt.Y("method:N", sort=None, title=None), tooltip=tooltip)
    scale = alt.Scale(zero=False, nice=False, padding=8)
    points = base.mark_point(filled=True, size=60, color=PALETTE[0], opacity=1).encode(
        x=alt.X("rank:Q", title="mean rank (1 is the best)", scale=scale)
    )
    layers = [points]
    if intervals:
        layers.insert(0, base.mark_rule(color=PALETTE[0], strokeWidth=2, opacity=0.6).encode(x="low:Q", x2="high:Q"))
    caption = "Mean of the ranks on knn, linear and the low-shot family; 1 is the best."
    if intervals:
        caption += " Line: 95 % interval of the rank."
    return Picture(
        id,
        title(table),
        "Ranks",
        f"{caption} {measured_on(table, ranked, table.columns)}",
        finished(alt.layer(*layers), {"step": 16}),
        ("method", "rank", "from", "to"),
        tuple((printable(r.label), r.rank, *(r.rank_interval or (None, None))) for r in ranked),
    )
