"""An encoder that sslbench trained, built from its stored or exported file without its method or data set."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from bench.backbones import build
from bench.errors import SslbenchError
from bench.filenames import method_folder
from bench.pretrained import weights_file
from bench.pretrained.checkpoint_file import exported_input, named_pooling
from bench.printable import printable
from bench.records.checkpoints import stored_encoder
from bench.records.lookup import find
from bench.records.record import NO_BUDGET, Identity, Record
from bench.records.store import Store
from methods.base import Encoder
from methods.traits import Traits


def run_name(identity: Identity) -> str:
    """Return a run's name for messages."""
    method = method_folder(identity.method, identity.settings, identity.plugin)
    return f"{method} seed {identity.seed} on {identity.dataset}"


def stored_files(store: Store, record: Record) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a run's stored encoder, and the metadata of its file.

    Raises:
        SslbenchError: The run was pretrained elsewhere, its encoder is not stored, or it does not say which input it expects.
    """
    identity, name = record.identity, run_name(record.identity)
    if identity.budget == NO_BUDGET:
        raise SslbenchError(f"{name} was pretrained elsewhere: sslbench has no encoder of it; use its own file")
    path = store.encoder_path(identity)
    stored = stored_encoder(path, identity)
    if stored is None:
        raise SslbenchError(
            f"{name}: its encoder is not stored at {path} (committed results have records only); run it again with --force"
        )
    about = weights_file.metadata(path)
    if "input" not in about:
        raise SslbenchError(
            f"{name}: its stored encoder does not say which input it expects; run it again with --force"
        )
    return stored[0], about


def plain_encoder(backbone: str, about: Mapping[str, str], tensors: Mapping[str, Tensor], name: str) -> Encoder:
    """Return an encoder of a backbone of the catalogue and at most one linear layer on top, in eval mode.

    Args:
        backbone: Name of the backbone.
        about: Metadata of the file: its input and pooling.
        tensors: The weights.
        name: Its name, for messages.

    Raises:
        SslbenchError: The weights are of something else.
    """
    spec = exported_input(about, name)
    traits = Traits(spec.channels, spec.size, 0, spec.mean, spec.std, False, 0, 0)
    try:
        if backbone == "none":
            raise ValueError("it has no network")
        network = build(backbone, traits)
        code = nn.Linear(network.dim, len(tensors["code.weight"])) if "code.weight" in tensors else None
        encoder = Encoder(network, spec, named_pooling(about.get("pooling", network.pooling), name), code)
        encoder.load_state_dict(dict(tensors))
    except (RuntimeError, ValueError, SslbenchError) as error:
        line = printable(str(error).splitlines()[0], 200)
        raise SslbenchError(f"{name}: its encoder is not a plain {printable(backbone, 80)} ({line})") from error
    return encoder.eval()


def encoder_of_run(store: Store, run: str) -> Encoder:
    """Return the encoder of a recorded run; errors as ``stored_files``, ``plain_encoder`` and ``find``."""
    record = find(store, run)
    tensors, about = stored_files(store, record)
    backbone = "none" if record.identity.method == "pixels" else record.identity.backbone
    return plain_encoder(backbone, about, tensors, run_name(record.identity))


def encoder_of_file(path: Path) -> Encoder:
    """Return the encoder in a file of ``sslbench export``.

    Raises:
        SslbenchError: It is another kind of file.
    """
    about = weights_file.metadata(path)
    if not {"backbone", "input"} <= about.keys():
        raise SslbenchError(
            printable(
                f"{path}: is no file of `sslbench export`; measure other weights by `sslbench run checkpoint:FILE`"
            )
        )
    return plain_encoder(about["backbone"], about, weights_file.read_weights(path), printable(str(path)))
