"""Notes on a row of an encoder from elsewhere: what a reader must know to judge its numbers."""

from methods.traits import Traits


def seen_before(pretrained_on: str | None, traits: Traits, saw: str | None = None) -> tuple[str, ...]:
    """Return a note if the encoder was, or may have been, pretrained on the images of this data set.

    Args:
        pretrained_on: What the encoder was pretrained on, as its own configuration tells; None if that is not known.
        traits: The data set's.
        saw: What the user says that it was pretrained on (``--saw``), or None.
    """
    source = traits.taken_from
    if saw is not None:
        same = source is not None and saw.casefold() == source.casefold()
        seen = (
            ", from which the images of this data set were taken, test images included: it has seen them"
            if same
            else ""
        )
        return (f"pretrained on {saw}, as the user declared{seen}",)
    if source is None or pretrained_on not in (None, source):
        return ()
    if pretrained_on is None:
        return (f"the images were taken from {source}; whether the encoder was pretrained on {source} is not known",)
    return (f"pretrained on {source}, from which the images were taken, test images included: it has seen them",)


def measured_statistics(traits: Traits) -> str:
    """Return the note on running statistics that the file of weights does not have."""
    return f"the file has no running statistics of batch norms: they were measured over the {traits.train:,} training images"


def resampled_positions(which: str) -> str:
    """Return the note on position embeddings that were resampled to another image size."""
    return f"{which}, resampled as timm does; --set size=N measures it at the image size of its training"
