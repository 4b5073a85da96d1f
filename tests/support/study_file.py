"""The smallest study file, to which tests add."""


def study_text(seeds: int = 1, method: str = "pixels", protocol: str = "knn") -> str:
    """A study of one system."""
    return f"""
title = "T"
source = ""
published = "P."
differs = []
dataset = "digits"
backbone = "mlp"
budget = "2ep"
seeds = {seeds}

[[system]]
id = "a"
name = "A"
method = "{method}"
protocol = "{protocol}"
"""
