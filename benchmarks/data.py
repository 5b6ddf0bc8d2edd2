"""Where the data sets of the tasks are on this machine, and how to get those that are not."""

from __future__ import annotations

from curenu.errors import MissingData
from curenu.tasks.adult import FILES as ADULT
from curenu.tasks.cifar10 import JPEG, PICKLES
from curenu.tasks.fashion_mnist import FILES as FASHION_MNIST
from curenu.tasks.found import DataFiles
from curenu.tasks.movielens import FILES as MOVIELENS
from curenu.tasks.newsgroups import FILES as NEWSGROUPS

WANTED: tuple[tuple[DataFiles, ...], ...] = (
    (FASHION_MNIST,),
    (JPEG, PICKLES),
    (NEWSGROUPS,),
    (ADULT,),
    (MOVIELENS,),
)


def line(forms: tuple[DataFiles, ...]) -> str:
    """The folder of the first form that is there, or the last one's remedy."""
    reason = ""
    for form in forms:
        try:
            return f"{form.title}: {form.find()}"
        except MissingData as missing:
            reason = f"{form.title}: not found. Try: {missing.remedy}"
    return reason


if __name__ == "__main__":
    print("\n".join(line(forms) for forms in WANTED))
