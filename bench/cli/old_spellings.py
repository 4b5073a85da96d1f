"""Old spellings of commands, which still work but are no longer in the help."""

from collections.abc import Sequence


def translated(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of ``sslbench`` in the current spelling.

    ``run --study NAME …`` is ``study NAME …``; ``leaderboard --study NAME …`` is ``study NAME --show …``;
    ``leaderboard --compare B [--results A] …`` is ``compare A B …``.
    """
    command, *rest = arguments or [""]
    if command == "run" and (found := _pop_option(rest, "--study")):
        study, rest = found
        return ["study", study, *rest]
    if command == "leaderboard" and (found := _pop_option(rest, "--study")):
        study, rest = found
        return ["study", study, "--show", *rest]
    if command == "leaderboard" and (found := _pop_option(rest, "--compare")):
        other, rest = found
        results, rest = _pop_option(rest, "--results") or ("results", rest)
        return ["compare", results, other, *rest]
    return list(arguments)


def _pop_option(arguments: Sequence[str], option: str) -> tuple[str, list[str]] | None:
    """Return an option's value and the other arguments; None if the option is absent or has no value."""
    for position, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2], [*arguments[:position], *arguments[position + 1 :]]
        if argument == option and position + 1 < len(arguments):
            return arguments[position + 1], [*arguments[:position], *arguments[position + 2 :]]
    return None
