"""A user's name to the encoder from elsewhere that it means."""

from bench.pretrained.checkpoint_file import Checkpoint
from bench.pretrained.method import Origin
from bench.pretrained.names import parse
from bench.pretrained.timm_models import TimmModel


def find(name: str, backbone: str | None) -> Origin:
    """Return what ``timm:NAME``, ``timm:NAME@FILE`` or ``checkpoint:FILE`` means.

    Args:
        name: As the user wrote it.
        backbone: That a checkpoint is for, where the user named it.
    """
    form = parse(name)
    if form.timm is not None:
        return TimmModel(form.timm, form.file)
    assert form.file is not None
    return Checkpoint(form.file, backbone)
