from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.errors import SslbenchError
from bench.leaderboard.build import CurrentVersions, build, current_versions
from bench.leaderboard.ranking import order
from bench.leaderboard.tables import Row, Table
from bench.records.record import Identity, Measurement, Record
from protocols.catalogue import resolve

Campaign = Callable[..., list[Record]]
IDENTITY = Identity(
    dataset="digits",
    fingerprint="ab" * 32,
    task="test",
    method="x",
    method_version=1,
    backbone="resnet9_slim",
    backbone_version=1,
    harness_version=1,
    budget="standard",
    epochs=60,
    batch=256,
    seed=0,
)
METHODS = {"pixels": -1.0, "random_init": -0.8, "supervised": 0.9, "vae": -0.6, "simclr": 0.6, "byol": 0.3}

FROM_ELSEWHERE = {"backbone": "own", "budget": "none", "epochs": 0, "batch": 0}


def only(records: list[Record], current: CurrentVersions, **how: bool) -> Table:
    (table,) = build(records, current, **how).tables
    return table


def by_method(table: Table) -> dict[str, Row]:
    return {row.label: row for row in table.rows}


def changed(record: Record, **identity: object) -> Record:
    return replace(record, identity=replace(record.identity, **identity))  # type: ignore[arg-type]


def test_methods_are_sorted_by_rank_and_floor_and_ceiling_follow_without_rank(
    campaign: Campaign, current: CurrentVersions
) -> None:
    table = only(campaign(METHODS, seeds=(0, 1)), current)
    assert [row.method for row in table.rows][:3] == ["simclr", "byol", "vae"]
    assert {row.method for row in table.rows[3:]} == {"pixels", "random_init", "supervised"}
    assert [row.rank is None for row in table.rows] == [False] * 3 + [True] * 3
    assert {score.could_be_best for row in table.rows[3:] for score in row.scores.values()} == {None}
    assert all(score.could_be_best for score in table.rows[0].scores.values())


def test_the_rank_is_the_mean_of_knn_linear_and_the_mean_of_the_low_shot_columns(current: CurrentVersions) -> None:
    def record(method: str, **scores: float) -> Record:
        named = {name.replace("_", "-"): score for name, score in scores.items()}
        protocols = {id: Measurement(resolve(id).version, metrics={"top1": score}) for id, score in named.items()}
        return changed(replace(template, protocols=protocols), method=method)

    template = Record(identity=IDENTITY, status="ok")
    small = replace(current, default=("knn", "linear", "lowshot-1", "lowshot-10pct"))
    rows = by_method(
        only(
            [
                record("a", knn=0.9, linear=0.8, lowshot_1=0.5, lowshot_10pct=0.6),  # 1, 2.5, (3 + 1) / 2
                record("b", knn=0.8, linear=0.9, lowshot_1=0.6, lowshot_10pct=0.5),  # 2, 1, (2 + 2) / 2
                record("c", knn=0.7, linear=0.8, lowshot_1=0.7, lowshot_10pct=0.4),  # 3, 2.5, (1 + 3) / 2
                record("d", knn=1.0, linear=1.0, lowshot_1=1.0),
            ],
            small,
        )
    )
    ranks = {name: row.rank for name, row in rows.items()}
    assert ranks == {"a": pytest.approx(5.5 / 3), "b": pytest.approx(5 / 3), "c": pytest.approx(7.5 / 3), "d": None}


def test_scores_are_percent_with_deviations_over_seeds_and_draws(campaign: Campaign, current: CurrentVersions) -> None:
    records = campaign({"simclr": 0.0}, seeds=(0, 1, 2))
    row = only(records, current).rows[0]
    found = row.scores["lowshot-1"]
    tops = [100 * r.protocols["lowshot-1"].metrics["top1"] for r in records]
    mean = sum(tops) / 3
    assert found.mean == pytest.approx(mean)
    assert found.std == pytest.approx((sum((t - mean) ** 2 for t in tops) / 2) ** 0.5)
    assert found.draw_std is not None and found.draw_std > 0
    assert found.interval is not None and found.interval[0] < mean < found.interval[1]
    assert row.scores["knn"].draw_std is None
    assert row.seeds == (0, 1, 2)


def test_one_seed_has_no_deviation_but_an_interval_and_the_table_says_so(
    campaign: Campaign, current: CurrentVersions
) -> None:
    table = only(campaign(METHODS), current)
    assert all(score.std is None and score.interval for row in table.rows for score in row.scores.values())
    assert {score.could_be_best for row in table.rows for score in row.scores.values()} == {None}
    (note,) = (note for note in table.notes if "variation between seeds" in note)
    assert note.startswith("One seed per row: ") and "could be the best is unknown" in note and "--seeds 5" in note
    assert not any("variation between seeds" in note for note in only(campaign(METHODS, seeds=(0, 1)), current).notes)


def test_rows_of_one_seed_are_named_and_the_others_are_still_compared(
    campaign: Campaign, current: CurrentVersions
) -> None:
    table = only(
        campaign({"simclr": 0.5, "byol": 0.4}, seeds=(0, 1)) + campaign({"moco": 0.3, "pixels": -1.0}), current
    )
    (note,) = (note for note in table.notes if "variation between seeds" in note)
    assert note.startswith("One seed only (moco): ") and "pixels" not in note
    rows = by_method(table)
    assert [rows[m].scores["knn"].could_be_best is None for m in ("simclr", "byol", "moco")] == [False, False, True]


def test_pixels_are_deterministic_with_any_number_of_seeds_and_a_plugin_only_if_its_seeds_agree(
    campaign: Campaign, current: CurrentVersions
) -> None:
    (pixels,) = campaign({"pixels": 0.0})
    plugin = changed(pixels, method="drawn", plugin="ab" * 32)
    other = replace(changed(plugin, seed=1), protocols=campaign({"byol": 0.0}, luck=1)[0].protocols)
    simclr = campaign({"simclr": 0.5}, seeds=(0, 1))

    def deterministic(*records: Record) -> bool:
        rows = only([*records, *simclr], current).rows
        return next(row for row in rows if row.method in ("pixels", "drawn")).deterministic

    assert deterministic(pixels)
    assert deterministic(pixels, changed(pixels, seed=1))
    assert deterministic(plugin, changed(plugin, seed=1))
    assert not deterministic(plugin)
    assert not deterministic(plugin, other)
    row = only([pixels, changed(pixels, seed=1), *simclr], current).rows[-1]
    assert {score.std for score in row.scores.values()} == {None}
    knn = replace(pixels.protocols["knn"], curves={"loss": [1.0]})
    trained_head = only([replace(pixels, protocols=pixels.protocols | {"knn": knn})], current).rows[0].scores
    assert (trained_head["knn"].deterministic, trained_head["linear"].deterministic) == (False, True)


def test_equal_label_sets_count_once_in_the_ranks_even_if_only_one_run_recorded_that_they_are_equal(
    campaign: Campaign, current: CurrentVersions
) -> None:
    records = campaign({"simclr": 0.5, "byol": 0.0})
    twin = Measurement(1, same_as="lowshot-1")
    first = replace(records[0], protocols=records[0].protocols | {"lowshot-1pct": twin})
    table = only([first, records[1]], current)
    assert {c.id: c.same_as for c in table.columns if c.same_as} == {"lowshot-1pct": "lowshot-1"}
    assert all("lowshot-1pct" not in row.scores and row.rank is not None for row in table.rows)


def test_changed_settings_and_encoders_from_elsewhere_are_marked_rows_without_rank(
    campaign: Campaign, current: CurrentVersions
) -> None:
    records = campaign({"simclr": 0.0}) + campaign({"simclr": 5.0}, settings={"temperature": 0.2})
    records += campaign({"timm-vit-tiny-1f2e3d4c": 9.0}, identity=FROM_ELSEWHERE)
    table = only(records, current)
    assert [row.label for row in table.rows] == ["simclr", "simclr+temperature=0.2", table.rows[2].label]
    assert [row.group for row in table.rows] == ["methods", "changed settings", "elsewhere"]
    assert [row.rank for row in table.rows] == [1.0, None, None]
    assert all(row.rank_interval is None for row in table.rows[1:])


def test_an_encoder_from_elsewhere_is_in_every_table_of_its_data_set_and_backbone(
    campaign: Campaign, current: CurrentVersions
) -> None:
    records = campaign({"simclr": 0.0}) + campaign({"simclr": 0.5}, identity={"budget": "quick"})
    records += campaign({"simclr": 0.5}, identity={"backbone": "resnet18"})
    records += campaign({"timm-vit-tiny-1f2e3d4c": 9.0}, identity=FROM_ELSEWHERE)
    records += campaign({"checkpoint-moco-5a6b7c8d": 9.0}, identity=FROM_ELSEWHERE | {"backbone": "resnet18"})
    records += campaign({"my-encoder-9e8f7a6b": 9.0}, identity=FROM_ELSEWHERE | {"dataset": "mnist"})
    shown = {
        (t.dataset, t.backbone, t.budget): {row.method.partition("-")[0] for row in t.rows}
        for t in build(records, current).tables
    }
    assert shown == {
        ("digits", "resnet9_slim", "standard"): {"simclr", "timm"},
        ("digits", "resnet9_slim", "quick"): {"simclr", "timm"},
        ("digits", "resnet18", "standard"): {"simclr", "timm", "checkpoint"},
        ("mnist", "own", "none"): {"my"},
    }


def test_a_column_that_only_an_encoder_from_elsewhere_has_does_not_affect_ranks(
    campaign: Campaign, current: CurrentVersions
) -> None:
    measured = [name for name in current.default if name != "lowshot-1"]
    records = campaign({"simclr": 0.5, "byol": 0.0}, columns=measured)
    records += campaign({"timm-vit-tiny-1f2e3d4c": 9.0}, identity=FROM_ELSEWHERE)
    rows = by_method(only(records, current))
    assert (rows["simclr"].rank, rows["byol"].rank) == (1.0, 2.0)
    assert "lowshot-1" in rows["timm-vit-tiny-1f2e3d4c"].scores


def test_a_failed_row_shows_its_cause_and_has_no_rank(campaign: Campaign, current: CurrentVersions) -> None:
    records = campaign({"simclr": 0.5, "byol": 0.4}, seeds=(0, 1))
    bad = replace(records[1], status="diverged", cause="loss is not finite at step 3", protocols={})
    table = only([records[0], bad, *records[2:]], current)
    row = by_method(table)["simclr"]
    assert (row.status, row.cause, row.rank) == ("diverged", "seed 1: loss is not finite at step 3", None)
    assert row.scores["linear"].seeds == 1
    assert all(score.could_be_best is None for score in row.scores.values())
    assert any("loss is not finite at step 3" in note for note in table.notes)
    assert by_method(table)["byol"].rank == 1.0


@pytest.mark.parametrize(
    ("identity", "reason"),
    [({"harness_version": 2}, "harness"), ({"method_version": 0}, "method"), ({"backbone_version": 7}, "backbone")],
)
def test_records_of_other_versions_are_left_out_and_listed(
    campaign: Campaign, current: CurrentVersions, identity: dict[str, int], reason: str
) -> None:
    checked = replace(current, methods={"simclr": 1, "byol": 1}, backbones={"resnet9_slim": 1})
    old, new = campaign({"simclr": 0.5, "byol": 0.4})
    leaderboard = build([changed(old, **identity), new], checked)
    assert [row.method for row in leaderboard.tables[0].rows] == ["byol"]
    assert [reason in str(stale) and "simclr" in str(stale) for stale in leaderboard.stale] == [True]


@pytest.mark.parametrize("version", ["method_version", "backbone_version"])
def test_seeds_of_different_versions_are_never_averaged_in_one_row(
    campaign: Campaign, current: CurrentVersions, version: str
) -> None:
    old, new, other = campaign({"simclr": 0.5}, seeds=(0, 1)) + campaign({"byol": 0.4})
    changed_settings = changed(old, settings={"temperature": 0.2})
    leaderboard = build([old, changed(new, **{version: 2}), other, changed_settings], current)
    rows = by_method(leaderboard.tables[0])
    assert {name: row.seeds for name, row in rows.items()} == {
        "simclr": (1,),
        "byol": (0,),
        "simclr+temperature=0.2": (0,),
    }
    assert rows["simclr"].scores["knn"].mean == pytest.approx(100 * new.protocols["knn"].metrics["top1"])
    (stale,) = leaderboard.stale
    assert stale.identity == old.identity and "version 1, other seeds have 2" in str(stale)


def test_a_record_of_an_old_backbone_is_stale_even_without_check(campaign: Campaign) -> None:
    (record,) = campaign({"simclr": 0.5})
    leaderboard = build([changed(record, backbone_version=0)], current_versions())
    assert leaderboard.tables == () and "backbone resnet9_slim version 0, now 1" in str(leaderboard.stale[0])


def test_without_check_only_harness_and_protocols_are_compared(campaign: Campaign, current: CurrentVersions) -> None:
    (old,) = campaign({"simclr": 0.5})
    assert build([changed(old, method_version=0)], current).stale == ()
    linear = replace(old.protocols["linear"], version=9)
    leaderboard = build([replace(old, protocols=old.protocols | {"linear": linear})], current)
    assert leaderboard.tables == () and "linear version 9, now 2" in str(leaderboard.stale[0])


def test_an_outdated_measurement_on_request_is_left_out_alone(campaign: Campaign, current: CurrentVersions) -> None:
    (record,) = campaign({"simclr": 0.5})
    extra = {"linear-sgd": replace(record.protocols["linear"], version=2), "mine": record.protocols["linear"]}
    leaderboard = build([replace(record, protocols=record.protocols | extra)], current, all_protocols=True)
    assert [c.id for c in leaderboard.tables[0].columns] == list(current.default)
    assert sorted(stale.protocol or "" for stale in leaderboard.stale) == ["linear-sgd", "mine"]


def test_columns_on_request_are_shown_with_all_protocols(campaign: Campaign, current: CurrentVersions) -> None:
    (record,) = campaign({"simclr": 0.5})
    extra = {
        "linear-sgd": replace(record.protocols["linear"], version=1),
        "rankme": Measurement(1, metrics={"rankme": 41.5}),
    }
    record = replace(record, protocols=record.protocols | extra)
    assert [c.id for c in only([record], current).columns] == list(current.default)
    table = only([record], current, all_protocols=True)
    assert [c.id for c in table.columns] == [*current.default, "linear-sgd", "rankme"]
    assert table.rows[0].scores["rankme"].mean == 41.5
    assert table.rows[0].scores["rankme"].interval is None


def test_data_sets_with_the_same_name_but_different_content_get_separate_tables(
    campaign: Campaign, current: CurrentVersions
) -> None:
    one, other = campaign({"simclr": 0.5, "byol": 0.4})
    leaderboard = build([one, changed(other, fingerprint="beef" * 16)], current)
    assert [len(table.rows) for table in leaderboard.tables] == [1, 1]
    assert all(any("fingerprint" in note for note in table.notes) for table in leaderboard.tables)


def test_rows_on_another_device_or_in_another_precision_are_marked_unless_untrained(
    campaign: Campaign, current: CurrentVersions
) -> None:
    records = campaign({"random_init": 0.0}, environment={"precision": "32-true"})
    records += campaign({"simclr": 0.5, "byol": 0.4, "vae": 0.1})
    assert not any(row.marked for row in only(records, current).rows)
    records += campaign({"moco": 0.5}, environment={"device": "cuda:1"})
    assert [row.method for row in only(records, current).rows if row.marked] == ["moco"]


def test_the_development_task_has_separate_unranked_tables(campaign: Campaign, current: CurrentVersions) -> None:
    records = campaign({"simclr": 0.5, "byol": 0.4})
    tables = build(records + [changed(r, task="val") for r in records], current).tables
    ranks = {table.task: [row.rank is None for row in table.rows] for table in tables}
    assert ranks == {"test": [False, False], "val": [True, True]}


def test_rows_sort_by_a_column_or_a_cost_within_their_groups(campaign: Campaign, current: CurrentVersions) -> None:
    table = only(campaign(METHODS), current)
    by_time = order(table.rows, "pretrain_s", table.columns)
    times = [row.cost.pretrain_s for row in by_time if row.group == "methods"]
    assert times == sorted(t for t in times if t is not None)
    by_linear = [
        row.scores["linear"].mean for row in order(table.rows, "linear", table.columns) if row.group == "methods"
    ]
    assert by_linear == sorted(by_linear, reverse=True)
    assert [row.group for row in by_time] == [row.group for row in table.rows]


def test_an_unknown_column_suggests_the_nearest(campaign: Campaign, current: CurrentVersions) -> None:
    table = only(campaign({"simclr": 0.5}), current)
    with pytest.raises(SslbenchError, match="'linear'"):
        order(table.rows, "liner", table.columns)


def test_no_records_give_an_empty_leaderboard(current: CurrentVersions) -> None:
    assert build([], current).tables == ()


def test_the_table_is_built_with_the_catalogue_of_protocols(campaign: Campaign) -> None:
    table = only(campaign({"simclr": 0.5, "byol": 0.4}), current_versions())
    assert [row.method for row in table.rows if row.rank is not None] == ["simclr", "byol"]
    assert {"knn", "linear", "lowshot-1-frozen"} <= {column.id for column in table.columns}
