"""sslbench from Python, without the command line; ``README.md`` shows it in one example. Public names are those of ``__all__``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.notebook.encoders import encoder as encoder
    from bench.notebook.encoders import features as features
    from bench.notebook.runs import evaluate as evaluate
    from bench.notebook.runs import run as run
    from bench.notebook.tables import leaderboard as leaderboard

_HOMES = {"run": "runs", "evaluate": "runs", "leaderboard": "tables", "encoder": "encoders", "features": "encoders"}

__all__ = ["encoder", "evaluate", "features", "leaderboard", "run"]


def __getattr__(name: str) -> Any:
    # Loaded when first used: importing this package imports no torch.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
