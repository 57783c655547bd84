"""What the workers' tests share, on Python 3.6 and on the lab's own Python."""

import os
import shutil

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as workers do, before numpy is loaded

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.contract import catalog
from engine.contract import dataset as datasets
from engine.contract.run_folder import LabHome
from engine.worker import backbones
from tests.assets_home import with_assets

COLOURS = {"green": (30, 160, 60), "red": (200, 40, 40), "yellow": (220, 200, 50)}


@pytest.fixture(scope="session")
def assets():
    """A home with real weights; shared, so nothing in it may be changed."""
    return with_assets("mobilenet_v2", "efficientnet_lite0", "imagenet_names")


@pytest.fixture(scope="session")
def digits():
    """MNIST itself: x_train, y_train, x_test, y_test."""
    home = with_assets("mnist")
    with np.load(os.path.join(home.assets, "mnist", "mnist.npz")) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture
def home(assets, tmp_path):
    """A home of the test's own with the same weights; what was converted from them is kept between tests."""
    own = LabHome(str(tmp_path / "lab"))
    os.makedirs(own.path)
    os.symlink(assets.assets, own.assets)
    return own


@pytest.fixture(scope="session")
def mobilenet(assets):
    return backbones.load(assets, catalog.backbone("mobilenet_v2"))


@pytest.fixture
def photos(tmp_path):
    """A dataset of drawn lamps: 3 classes, 12 photos each, 8 to learn from, 2 to validate, 2 to test."""
    root = str(tmp_path / "lamps")
    random = np.random.RandomState(0)
    entries = []
    for label, colour in enumerate(sorted(COLOURS)):
        os.makedirs(os.path.join(root, colour))
        for number in range(12):
            name = f"{colour}/{number:02d}.jpg"
            draw_lamp(COLOURS[colour], random).save(os.path.join(root, name), quality=90)
            split = "validation" if number < 2 else "testing" if number < 4 else "training"
            entries.append(datasets.Photo(name, label, split))
    yield datasets.Dataset("Lamps", root, sorted(COLOURS), entries)
    shutil.rmtree(root, ignore_errors=True)


def draw_lamp(colour, random, size=(96, 64)):
    noise = random.randint(0, 80, (size[1], size[0], 3)).astype(np.uint8)
    image = Image.fromarray(noise)
    x, y, r = random.randint(20, 70), random.randint(20, 44), random.randint(10, 20)
    ImageDraw.Draw(image).ellipse([x - r, y - r, x + r, y + r], fill=colour)
    return image
