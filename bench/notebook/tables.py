"""The leaderboard as a pandas table."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import SslbenchError

if TYPE_CHECKING:
    import pandas


def leaderboard(results: str | Path = "results", *, on: Literal["test", "val"] = "test") -> "pandas.DataFrame":
    """Return all scores of a results folder, one line per row and column of its tables.

    Args:
        results: The results folder.
        on: ``test``, or ``val`` for the development task.

    Returns:
        A table with the columns ``dataset`` (of pretraining), ``measured_on`` (the same or, for a transfer, another one), ``backbone``,
        ``budget``, ``tuned`` (trials of ``sslbench tune``, None for the shipped recipes), ``method`` (with changed settings), ``group``,
        ``status``, ``seeds``, ``rank``, ``rank_low`` and ``rank_high`` (95 % interval), ``protocol``, ``score`` (percent for an accuracy),
        ``std``, ``low`` and ``high``, ``could_be_best``, ``gap`` (in points), ``gap_low`` and ``gap_high``, ``pretrain_s`` and ``device``.

    Raises:
        SslbenchError: pandas is not installed, or there are no records.
    """
    try:
        import pandas
    except ImportError:
        raise SslbenchError("leaderboard needs pandas: pip install 'sslbench[pandas]'") from None
    from bench.leaderboard.read import Selection, leaderboard_of, read_records

    records, _ = read_records(Path(results), on)
    found = leaderboard_of(records, Selection(task=on), all_protocols=True, folder=str(results))
    lines = []
    for table in found.every_table:
        for row in table.rows:
            for column in table.columns:
                score = row.scores.get(column.id)
                if score is None:
                    continue
                low, high = score.interval or (None, None)
                rank_low, rank_high = row.rank_interval or (None, None)
                gap_low, gap_high = score.gap.interval if score.gap else (None, None)
                lines.append(
                    {
                        "dataset": table.dataset,
                        "measured_on": table.measured_on or table.dataset,
                        "backbone": table.backbone,
                        "budget": table.budget,
                        "tuned": table.tuned,
                        "method": row.label,
                        "group": row.group,
                        "status": row.status,
                        "seeds": len(row.seeds),
                        "rank": row.rank,
                        "rank_low": rank_low,
                        "rank_high": rank_high,
                        "protocol": column.protocol if table.measured_on else column.id,
                        "score": score.mean,
                        "std": score.std,
                        "low": low,
                        "high": high,
                        "could_be_best": score.could_be_best,
                        "gap": None if score.gap is None else score.gap.value,
                        "gap_low": gap_low,
                        "gap_high": gap_high,
                        "pretrain_s": row.cost.pretrain_s,
                        "device": row.device,
                    }
                )
    return pandas.DataFrame(lines)
