"""Networks for 28 x 28 pictures as plain text, and what each layer makes of its input: shape, parameters, cost.

    conv 32 3        32 filters of 3 x 3, stride 1, padding "same"       Keras: Conv2D(32, 3, padding="same")
    pool 2           the largest of each 2 x 2, padding "same"           MaxPooling2D(2, padding="same")
    batchnorm        epsilon 0.001                                       BatchNormalization()
    relu                                                                 ReLU()
    dropout 0.2      that share of the values                            Dropout(0.2)
    average          the mean of each channel                            GlobalAveragePooling2D()
    flatten                                                              Flatten()
    dense 128        128 units                                           Dense(128)

A network is a list of these, separated by commas. It begins with (28, 28, 1) and ends with `dense 10`, whose outputs
are the logits. Python 3.6, standard library only.
"""

from typing import Any, Dict, List, NamedTuple, Tuple

SIZE = 28  # rows and columns of a picture
CLASSES = 10

CONV, POOL, BATCHNORM, RELU = "conv", "pool", "batchnorm", "relu"
DROPOUT, AVERAGE, FLATTEN, DENSE = "dropout", "average", "flatten", "dense"

# kind -> what its numbers are called, and their limits
ARGUMENTS: Dict[str, Tuple[Tuple[str, float, float], ...]] = {
    CONV: (("filters", 1, 256), ("kernel", 1, 64)),
    POOL: (("size", 2, 28),),
    BATCHNORM: (),
    RELU: (),
    DROPOUT: (("rate", 0.05, 0.9),),
    AVERAGE: (),
    FLATTEN: (),
    DENSE: (("units", 1, 2048),),
}
LAYER_LIMIT = 30
PARAMETER_LIMIT = 5 * 1000 * 1000
MULTIPLY_ADD_LIMIT = 200 * 1000 * 1000  # for one picture
MATRIX_LIMIT = 4 * 1000 * 1000  # numbers of the matrix of a convolution that is computed as one product


class Layer(NamedTuple):
    kind: str
    filters: int  # conv: filters; dense: units; 0 elsewhere
    kernel: int  # conv: rows and columns of a filter; pool: of what becomes one; 0 elsewhere
    rate: float  # dropout: the share set to zero, 0..1; 0 elsewhere


class Cost(NamedTuple):
    layer: Layer
    given: Tuple[int, ...]  # shape of its input, without the batch: (rows, columns, channels) or (units,)
    shape: Tuple[int, ...]  # of its output
    parameters: int  # all that Keras counts, moving means and variances too
    multiply_adds: int  # of conv and dense for one picture, products with padding included
    on_padding: int  # how many of those multiply a zero of the padding


def read(text: str) -> List[Layer]:
    """Raises ValueError, with a sentence that names the layer."""
    found = []
    for number, part in enumerate(text.split(","), 1):
        words = part.split()
        if not words or words[0] not in ARGUMENTS:
            raise ValueError(
                "Layer {}, {!r}, is none of {}.".format(number, part.strip(), ", ".join(sorted(ARGUMENTS)))
            )
        wanted = ARGUMENTS[words[0]]
        try:
            values = [float(word) for word in words[1:]]
        except ValueError:
            values = []
        if len(values) != len(wanted):
            usage = " ".join([words[0]] + [name.upper() for name, _, _ in wanted])
            raise ValueError(f"Layer {number}, {part.strip()!r}, should be written {usage}.")
        found.append(layer(words[0], *values))
    return found


def write(layers: List[Layer]) -> str:
    """The text that `read` takes."""
    return ", ".join(name(layer) for layer in layers)


def name(layer: Layer) -> str:
    """ "conv 32 3" """
    return " ".join([layer.kind] + [f"{value:g}" for value in arguments(layer)])


def arguments(layer: Layer) -> List[float]:
    """The layer's numbers in the order of ARGUMENTS."""
    if layer.kind == CONV:
        return [layer.filters, layer.kernel]
    if layer.kind == POOL:
        return [layer.kernel]
    if layer.kind == DENSE:
        return [layer.filters]
    return [layer.rate] if layer.kind == DROPOUT else []


def layer(kind: str, *values: float) -> Layer:
    """The layer of that kind with its numbers in the order of ARGUMENTS."""
    # What should be a whole number and is none stays as it is, for `costs` to name.
    whole: List[Any] = [int(value) if float(value).is_integer() else value for value in values]
    if kind == CONV:
        return Layer(kind, whole[0], whole[1], 0.0)
    if kind == POOL:
        return Layer(kind, 0, whole[0], 0.0)
    if kind == DENSE:
        return Layer(kind, whole[0], 0, 0.0)
    return Layer(kind, 0, 0, float(values[0]) if values else 0.0)


def costs(layers: List[Layer]) -> List[Cost]:
    """One row a layer. Raises ValueError, naming the first layer that cannot follow the one before it."""
    given: Tuple[int, ...] = (SIZE, SIZE, 1)
    found = []
    for number, each in enumerate(layers, 1):
        _check(number, each, given)
        row = _cost(each, given)
        found.append(row)
        given = row.shape
    return found


def faults(layers: List[Layer]) -> List[str]:
    """What is wrong with the network, each a sentence that names the layer; empty if nothing."""
    if not layers:
        return [f"The network has no layers; end it with flatten and dense {CLASSES}."]
    if len(layers) > LAYER_LIMIT:
        return [f"The network has {len(layers)} layers; use at most {LAYER_LIMIT}."]
    try:
        rows = costs(layers)
    except ValueError as error:
        return [str(error)]
    last = layers[-1]
    if (last.kind, last.filters) != (DENSE, CLASSES):
        return [f"The last layer is {name(last)}; it must be dense {CLASSES}, one unit a class."]
    total, work = parameters(rows), multiply_adds(rows)
    found = []
    if total > PARAMETER_LIMIT:
        found.append(f"The network has {total:,} parameters; use at most {PARAMETER_LIMIT:,}.")
    if work > MULTIPLY_ADD_LIMIT:
        found.append(f"A picture takes {work:,} multiply-adds; use at most {MULTIPLY_ADD_LIMIT:,}.")
    return found


def parameters(rows: List[Cost]) -> int:
    return sum(row.parameters for row in rows)


def multiply_adds(rows: List[Cost]) -> int:
    """For one picture."""
    return sum(row.multiply_adds for row in rows)


def is_one_product(row: Cost) -> bool:
    """Whether the lab computes this convolution as one matrix product: its kernel is larger than its input.

    Such a kernel joins every place with every place, as a dense layer whose weights repeat, and most of its products
    would meet padding; see engine/worker/mnist/networks.py.
    """
    if row.layer.kind != CONV:
        return False
    side, channels = row.given[0], row.given[2]
    return row.layer.kernel > side and side**4 * channels * row.layer.filters <= MATRIX_LIMIT


def check_numbers(number: int, each: Layer) -> None:
    """Raises ValueError where a number of the layer, the so-manieth of its network, is outside its limits."""
    for (word, low, high), value in zip(ARGUMENTS[each.kind], arguments(each)):
        fraction = each.kind == DROPOUT
        if not (low <= value <= high and (fraction or float(value).is_integer())):
            kind = "" if fraction else "whole numbers "
            message = "Layer {}, {}: {} is {:g}; choose {}{:g} to {:g}."
            raise ValueError(message.format(number, name(each), word, value, kind, low, high))


def _check(number: int, each: Layer, given: Tuple[int, ...]) -> None:
    check_numbers(number, each)
    if each.kind in (CONV, POOL, AVERAGE, FLATTEN) and len(given) == 1:
        raise ValueError(
            f"Layer {number}, {name(each)}, needs rows and columns, and the layers before it left a list of "
            f"{given[0]:,} numbers. Put it in front of flatten or average, or remove it."
        )
    if each.kind == DENSE and len(given) == 3:
        raise ValueError(
            "Layer {}, {}, needs a list of numbers, and gets {} rows, {} columns and {} channels. "
            "Put flatten or average in front of it.".format(number, name(each), *given)
        )
    if each.kind == POOL and each.kernel > given[0]:
        raise ValueError(
            f"Layer {number}, {name(each)}, leaves nothing: only {given[0]} x {given[1]} is left to pool. Remove it, "
            "or pool less before it."
        )


def _cost(each: Layer, given: Tuple[int, ...]) -> Cost:
    if each.kind == CONV:
        rows, columns, channels = given
        weights = each.kernel**2 * channels * each.filters
        work = rows * columns * weights
        useful = _useful(rows, each.kernel) * _useful(columns, each.kernel) * channels * each.filters
        return Cost(each, given, (rows, columns, each.filters), weights + each.filters, work, work - useful)
    if each.kind == DENSE:
        weights = given[0] * each.filters
        return Cost(each, given, (each.filters,), weights + each.filters, weights, 0)
    if each.kind == POOL:
        rows, columns = [-(-side // each.kernel) for side in given[:2]]
        return Cost(each, given, (rows, columns, given[2]), 0, 0, 0)
    if each.kind == BATCHNORM:
        return Cost(each, given, given, 4 * given[-1], 0, 0)
    if each.kind == AVERAGE:
        return Cost(each, given, given[-1:], 0, 0, 0)
    if each.kind == FLATTEN:
        return Cost(each, given, (given[0] * given[1] * given[2],), 0, 0, 0)
    return Cost(each, given, given, 0, 0, 0)


def _useful(side: int, kernel: int) -> int:
    """Along one axis: pairs of an output and an input place that a kernel joins; all others are padding."""
    before = (kernel - 1) // 2  # as TensorFlow pads for "same"
    return sum(1 for out in range(side) for at in range(side) if 0 <= at - out + before < kernel)
