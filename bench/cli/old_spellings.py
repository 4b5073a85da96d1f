"""Spellings of commands that are no longer in the help but still work."""

from collections.abc import Sequence


def translated(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of ``sslbench`` in today's spelling.

    ``run --study NAME …`` is ``study NAME …``; ``leaderboard --study NAME …`` is ``study NAME --show …``;
    ``leaderboard --compare B [--results A] …`` is ``compare A B …``.
    """
    command, *rest = arguments or [""]
    if command == "run" and (found := _taken(rest, "--study")):
        study, rest = found
        return ["study", study, *rest]
    if command == "leaderboard" and (found := _taken(rest, "--study")):
        study, rest = found
        return ["study", study, "--show", *rest]
    if command == "leaderboard" and (found := _taken(rest, "--compare")):
        other, rest = found
        results, rest = _taken(rest, "--results") or ("results", rest)
        return ["compare", results, other, *rest]
    return list(arguments)


def _taken(arguments: Sequence[str], option: str) -> tuple[str, list[str]] | None:
    """Return an option's value and the other arguments; None if the option is not there or has no value."""
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2], [*arguments[:place], *arguments[place + 1 :]]
        if argument == option and place + 1 < len(arguments):
            return arguments[place + 1], [*arguments[:place], *arguments[place + 2 :]]
    return None
