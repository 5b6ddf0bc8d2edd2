"""Small data sets in the formats that tasks read, written by this file alone."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

ADULT_COLUMNS = (
    "age,workclass,fnlwgt,education,education-num,marital-status,occupation,relationship,"
    "race,sex,capital-gain,capital-loss,hours-per-week,native-country,income-per-year"
)


def adult(folder: Path) -> None:
    """Three persons for training; the one for testing has a job that nobody else has."""
    rows = [
        "20,Private,10,HS,9,Never,Sales,Own,White,Male,0,0,40,US,<=50K",
        "30,State,20,BSc,13,Wed,?,Wife,Black,Female,1000,0,20,US,>50K",
        "40,Private,30,HS,9,Wed,Sales,Own,White,Male,0,9,60,Peru,<=50K",
    ]
    (folder / "adult.csv").write_text("\n".join([ADULT_COLUMNS, *rows]) + "\n")
    test = rows[0].replace("Sales", "Smith")
    (folder / "adult.test.csv").write_text(f"{ADULT_COLUMNS}\n{test}\n")


def movielens(folder: Path) -> None:
    """Two people, 7 and 3, who gave ten films each 1, 2, 3, 4, 5, 1, ... stars."""
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    lines += [f"{user}\t{film}\t{film % 5 + 1}\t0" for film in range(10) for user in (7, 3)]
    (folder / "ml-100k.inter").write_text("\n".join(lines) + "\n")


def newsgroups(folder: Path) -> None:
    """Two groups of six messages for training, one each for testing; as Orange has them."""
    heading = "Category\tText\nd\tstring\nclass\t\n\n"
    rows = [f'{group}\t"{group} said ""{word} here"""' for group in ("b", "a") for word in "uvwxyz"]
    (folder / "20newsgroups-train.tab").write_text(heading + "\n".join(rows) + "\n")
    (folder / "20newsgroups-test.tab").write_text(heading + "a\ta said more\nb\t\n")


def cifar10_images() -> tuple[np.ndarray, np.ndarray]:
    """Twelve plain images `[12, 32, 32, 3]`, each of one colour of its own, and classes."""
    colours = np.arange(12, dtype=np.uint8)[:, None] * np.array([20, 10, 5], np.uint8)
    return np.broadcast_to(colours[:, None, None, :], (12, 32, 32, 3)), np.arange(12) % 10


def cifar10_jpeg(folder: Path) -> None:
    """The first ten images are for training."""
    pixels, labels = cifar10_images()
    files = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=95, subsampling=0)
        files.append(file.getvalue())
    np.savez(
        folder / "cifar10_jpeg.npz",
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]).astype(np.uint32),
        label=labels.astype(np.uint8),
        is_train=np.arange(12) < 10,
    )


def cifar10_pickles(folder: Path) -> None:
    """Two images in each of the six batches, written as Python 2 would have them read."""
    pixels, labels = cifar10_images()
    flat = pixels.transpose(0, 3, 1, 2).reshape(12, 3072)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for place, name in enumerate(names):
        own = slice(2 * place, 2 * place + 2)
        batch = {b"data": np.ascontiguousarray(flat[own]), b"labels": labels[own].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
