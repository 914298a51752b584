"""A torch user's input pipeline: Dataset, PIL, DataLoader. What `input` races against.

There is no torchvision here; its Resize, RandomHorizontalFlip, RandomAffine and
ToTensor are a few lines of PIL each, as torchvision does them on PIL images.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

BILINEAR = Image.Resampling.BILINEAR


class Files(Dataset):
    """Item i: float32[1, size, size] in 0..1 of the i-th file, varied at random."""

    def __init__(
        self, files: Sequence[str], size: int, vary: tuple[float, float], draft: bool
    ):
        self.files, self.size, self.draft = list(files), size, draft
        self.degrees, self.shift = vary

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, at: int) -> torch.Tensor:
        with Image.open(self.files[at]) as image:
            if self.draft:  # the JPEG is decoded at a fraction, not below the size
                image.draft("L", (self.size, self.size))
            gray = image.convert("L").resize((self.size, self.size), BILINEAR)
        if random.random() < 0.5:
            gray = gray.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        most = self.shift * self.size
        by = (random.uniform(-most, most), random.uniform(-most, most))
        turn = random.uniform(-self.degrees, self.degrees)
        gray = gray.rotate(turn, BILINEAR, translate=by)
        return torch.from_numpy(np.array(gray, np.float32)[None] / 255)


def loader(
    files: Sequence[str], sizes: Any, vary: tuple[float, float], draft: bool
) -> DataLoader:
    """Batches in order, by worker processes that stay for the next round."""
    return DataLoader(
        Files(files, sizes.size, vary, draft),
        batch_size=sizes.batch,
        num_workers=sizes.workers,
        drop_last=True,
        persistent_workers=True,
        multiprocessing_context="spawn",  # a fork of a process that runs JAX may hang
    )
