"""``--jobs``: auto or a sensible number."""

import pytest

from bench.device import cores
from bench.errors import SslbenchError
from bench.execution.pool import number_of_jobs


@pytest.mark.parametrize("jobs", ["", "0", "-1", "²", "٣", "1.5", "many", "9" * 5000, "9999", "1e3", " 1"])
def test_jobs_that_make_no_sense_are_a_one_line_error(jobs):
    with pytest.raises(SslbenchError, match="--jobs"):
        number_of_jobs(jobs, 10, 2)


def test_there_are_never_more_jobs_than_runs():
    assert number_of_jobs("auto", 10, 2) == 2
    assert number_of_jobs("auto", 1, 2) == 1
    assert number_of_jobs(str(cores()), 1, 2) == 1
    assert number_of_jobs("1", 10, 2) == 1
