"""Measures views on real images: batched programs, lightly one by one, Kornia; writes ``results/throughput/views-first-look.json``.

Run from the repository's root: ``python tests/throughput/views_first_look.py [DATA] [MACHINE]``.
"""

import io
import json
import os
import statistics
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kornia.augmentation as K
import numpy as np
import torch
from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
from lightly.transforms.simclr_transform import SimCLRTransform
from PIL import Image
from torchvision.transforms import v2

from bench.views import compile_views

BATCH = 256
REPEATS = 7


def photographs(data: Path, side: int) -> torch.Tensor:
    """Return 256 Imagenette images, uint8."""
    with zipfile.ZipFile(data / "imagenette-96.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("val/") and not n.endswith("/"))[::3][:BATCH]
        images = [Image.open(io.BytesIO(archive.read(n))).convert("RGB").resize((side, side)) for n in names]
    return torch.from_numpy(np.stack([np.asarray(i) for i in images])).permute(0, 3, 1, 2).contiguous()


def rate(work: Callable[[], Any], images: int = BATCH) -> float:
    """Return images a CPU second: the median of seven calls after one to warm up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return round(images / statistics.median(seconds))


def picture(image: torch.Tensor) -> Image.Image:
    """Return a PIL image."""
    return Image.fromarray(image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy())


def pipelines(side: int, channels: int) -> dict[str, Any]:
    """Return the two pipelines as the methods build them: no blur for SimCLR up to 32 pixels, no colour on grey."""
    colour = {} if channels == 3 else {"cj_sat": 0.0, "cj_hue": 0.0, "random_gray_scale": 0.0}
    blur = 0.5 if side > 32 else 0.0
    first = BYOLView1Transform(side, normalize=None, **colour)
    second = BYOLView2Transform(side, normalize=None, **colour)
    return {
        "simclr": SimCLRTransform(side, normalize=None, gaussian_blur=blur, **colour),
        "byol": BYOLTransform(first, second),
    }


def whole(images: torch.Tensor) -> dict[str, dict[str, float]]:
    """Return images a second of both pipelines, batched and one by one in this process."""
    _, channels, side, _ = images.shape
    figures = {}
    few = [picture(image) for image in images[:64]]
    for name, pipeline in pipelines(side, channels).items():
        views = compile_views(pipeline, size=side, channels=channels, device="cpu")
        generator = torch.Generator().manual_seed(0)
        figures[name] = {
            "batched": rate(lambda views=views, generator=generator: views(images, generator)),
            "lightly_one_by_one": rate(lambda pipeline=pipeline: [pipeline(p) for p in few], len(few)),
        }
    return figures


def steps(images: torch.Tensor) -> dict[str, dict[str, float]]:
    """Return images a second of single steps, one view, all images hit: ours and Kornia's."""
    side = images.shape[-1]
    floats = images / 255
    pairs = {
        "crop and flip": (
            v2.Compose([v2.RandomResizedCrop(side), v2.RandomHorizontalFlip()]),
            torch.nn.Sequential(K.RandomResizedCrop((side, side)), K.RandomHorizontalFlip()),
        ),
        "jitter": (v2.ColorJitter(0.8, 0.8, 0.8, 0.2), K.ColorJitter(0.8, 0.8, 0.8, 0.2, p=1.0)),
        "grey": (v2.Grayscale(3), K.RandomGrayscale(p=1.0)),
        "blur": (
            BYOLView1Transform(side, normalize=None).transform.transforms[6],
            K.RandomGaussianBlur((9, 9), (0.1, 2.0), border_type="replicate", p=1.0),
        ),
        "solarise": (v2.RandomSolarize(128, 1.0), K.RandomSolarize((0.5, 0.5), 0.0, p=1.0)),
    }
    figures = {}
    generator = torch.Generator().manual_seed(0)
    for name, (step, theirs) in pairs.items():
        views = compile_views(step, size=side, channels=3, device="cpu")
        figures[name] = {
            "ours": rate(lambda views=views: views(images, generator)),
            "kornia": rate(lambda theirs=theirs: theirs(floats)),
        }
    return figures


def kornia_simclr(images: torch.Tensor) -> float:
    """Return images a second of Kornia's form of SimCLR's two views without blur."""
    side = images.shape[-1]
    augmentation = torch.nn.Sequential(
        K.RandomResizedCrop((side, side), scale=(0.08, 1.0)),
        K.RandomHorizontalFlip(),
        K.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        K.RandomGrayscale(p=0.2),
    )
    return rate(lambda: augmentation(images.repeat(2, 1, 1, 1) / 255))


def main() -> None:
    """Measure and write."""
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    torch.set_num_threads(1)
    machine = sys.argv[2] if len(sys.argv) > 2 else f"{os.cpu_count()} CPU cores"
    from sklearn.datasets import load_digits

    digits = torch.from_numpy((load_digits().images[:BATCH] * (255 / 16)).round().astype(np.uint8)).unsqueeze(1)
    small, large = photographs(data, 32), photographs(data, 96)
    figures = {
        "device": machine,
        "load_average_before": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "how": f"images a second of CPU time on one thread, median of {REPEATS} calls of {BATCH} images after one warm-up; whole pipelines give two views",
        "digits, 8 pixels grey": whole(digits),
        "grey photographs, 28 pixels": whole(v2.functional.resize(small, [28, 28])[:, :1].contiguous()),
        "photographs, 32 pixels": whole(small) | {"simclr in kornia": {"batched": kornia_simclr(small)}},
        "photographs, 96 pixels": whole(large),
        "steps, one view, 32 pixels": steps(small),
        "steps, one view, 96 pixels": steps(large),
    }
    figures["load_average_after"] = round(os.getloadavg()[0], 1)
    text = json.dumps(figures, indent=1)
    Path("results/throughput/views-first-look.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
