"""The table that is printed during the runs: one line per run, with the scores of its record."""

import json
import re


def test_each_finished_run_has_a_line_with_the_scores_of_its_record(sslbench, tmp_path):
    protocols = ["--protocol", "knn", "--protocol", "lowshot-1-frozen", "--protocol", "lowshot-1pct-frozen"]
    done = sslbench("run", "pixels", "random_init", "--budget", "smoke", *protocols, "--results", str(tmp_path))
    lines = done.stdout.splitlines()
    ended = [line for line in lines if re.match(r"\[\d+/\d+\] ", line)]
    assert len(ended) == 2
    for line in ended:
        method = line.partition("] ")[2].split()[0]
        (path,) = (tmp_path / "records").rglob(f"{method}/seed-0.json")
        measurements = json.loads(path.read_text())["protocols"]
        scores = [100 * measurements[name]["metrics"]["top1"] for name in ("knn", "lowshot-1-frozen")]
        # On digits 1 % of the labels is one label per class, so the third protocol is not measured again.
        assert [f"{score:.1f}" for score in scores] + ["="] == line.split("seed 0")[1].split()[:3]
        assert "ok (" in line
    heading = lines[lines.index(ended[0]) - 3 : lines.index(ended[0])]
    assert heading[0].split() == ["knn", "lowshot", "lowshot"]


def test_on_a_narrow_screen_each_protocol_has_a_line_below_its_run(sslbench, tmp_path):
    measures = {
        "knn": "top1",
        "lowshot-1-frozen": "top1",
        "linear-calibration": "ece",
        "rankme@images=100": "rankme",
    }
    arguments = [word for name in measures for word in ("--protocol", name)]
    done = sslbench("run", "pixels", "--budget", "smoke", *arguments, "--results", str(tmp_path), COLUMNS="40")
    lines = done.stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("[1/1] pixels"))
    (path,) = (tmp_path / "records").rglob("pixels/seed-0.json")
    protocols = json.loads(path.read_text())["protocols"]
    below = [line.split() for line in lines[first + 1 : first + 5]]
    values = {name: protocols[name]["metrics"][measure] for name, measure in measures.items()}
    assert below == [
        [f"{100 * value:.1f}" if measures[name] == "top1" else f"{value:.3g}", name] for name, value in values.items()
    ]
    assert not any(line.endswith(" knn") for line in lines[:first])
