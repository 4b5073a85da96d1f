"""The waits that are accepted, each with its reason: subject -> place -> reason.

A subject is the id of a method or a title in a test of this folder. A place is ``file.py:function``: the function that waits, or one that calls it.
A test fails if a subject waits anywhere else, and if it does not wait at one of its places.
"""

MAY_WAIT: dict[str, dict[str, str]] = {
    "mmcr": {"methods/mmcr.py:capacity_loss": "the library of singular values reports to the host whether it converged"},
    "smog": {"methods/smog.py:_reset_groups": "ten times per training: the groups are clustered again"},
}
