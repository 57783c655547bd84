"""SavedModels, also TensorFlow Hub modules of TF1 and TF2: checked before TensorFlow loads them.

A SavedModel is a program, and a part of it runs while it is loaded. Here its file is read as data; every operation
that loading it, or calling the signature that the lab calls, can reach must compute and nothing else. What saves its
variables again lies in every SavedModel, writes files and is never run: it may be there as long as nothing that is run
leads to it. Python 3.6.
"""

import os
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Set

from engine.worker.formats import graphs
from engine.worker.formats.graphs import GraphRefused

# Loading gives the variables their values, and these read them; a saver chooses its file's name with the last two.
WITH_VARIABLES = (
    graphs.ALLOWED
    | graphs.VARIABLES
    | frozenset(["AssignAdd", "AssignSub", "AssignAddVariableOp", "AssignSubVariableOp", "DisableCopyOnRead"])
    | frozenset(["StringJoin", "StaticRegexFullMatch"])
)
# What a saver consists of.
OF_THE_SAVER = frozenset(["SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "ShardedFilespec"])
SIGNATURES = ("default", "serving_default", "image_feature_vector", "image_classification")
CALL = "__call__"  # of a module without signatures
INITIALISER = "__saved_model_init_op"

FOLDER_LIMIT = 512 << 20  # bytes of all files
FILES_LIMIT = 1000


class Checked(NamedTuple):
    tags: List[str]  # of the graph to load
    signature: str  # to call; CALL where there is none
    of_tf1: bool  # a graph for a session, without objects


def check(folder: str) -> Checked:
    """What may be loaded from a SavedModel's folder. Raises GraphRefused."""
    name = os.path.basename(os.path.normpath(folder))
    check_files(folder, name)
    path = os.path.join(folder, "saved_model.pb")
    if not os.path.isfile(path):
        raise GraphRefused(f"{name} is no SavedModel: it has no file saved_model.pb.")
    if os.path.getsize(path) > graphs.FILE_LIMIT:
        raise GraphRefused(f"The graph of {name} is too large.")

    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    try:
        with open(path, "rb") as file:
            saved_model.ParseFromString(file.read())
    except Exception:  # protobuf's own DecodeError
        raise GraphRefused(f"saved_model.pb of {name} is damaged.") from None
    meta_graph = _chosen(saved_model.meta_graphs, name)
    _check_assets(meta_graph, folder, name)
    signature = _signature(meta_graph, name)
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    graphs.check_functions(functions, meta_graph.graph_def, name)
    if len(saved_model.meta_graphs) == 1 and meta_graph.HasField("object_graph_def"):  # as TensorFlow tells them apart
        run = _run_by_objects(meta_graph, signature, name)
        graphs.refuse_operations(_operations(run, functions), name, WITH_VARIABLES)
        return Checked(list(meta_graph.meta_info_def.tags), signature, False)
    _check_tf1(meta_graph, functions, name)
    return Checked(list(meta_graph.meta_info_def.tags), signature, True)


def check_files(folder: str, name: str) -> None:
    """Refuse links, which may lead out of the folder, too much of everything, and a second spelling of the graph."""
    files = size = 0
    for parent, folders, names in os.walk(folder):
        for each in folders + names:
            path = os.path.join(parent, each)
            if os.path.islink(path):
                raise GraphRefused(f"{name} contains a link, {each}. Replace it with the file itself.")
            files += 1
            size += os.path.getsize(path)
    if files > FILES_LIMIT or size > FOLDER_LIMIT:
        raise GraphRefused(f"{name} has more than {FILES_LIMIT:,} files or {FOLDER_LIMIT / 1e6:,.0f} MB.")
    for each in ("saved_model.cpb", "saved_model.pbtxt"):  # some TensorFlow would read it instead of what is checked
        if os.path.exists(os.path.join(folder, each)):
            raise GraphRefused(f"{name} contains {each}, which the lab does not read.")


def _chosen(meta_graphs: Any, name: str) -> Any:
    """The graph for answering; TF1 modules have another one for training."""
    if len(meta_graphs) == 1:
        return meta_graphs[0]
    for wanted in (set(), {"serve"}):
        for meta_graph in meta_graphs:
            if set(meta_graph.meta_info_def.tags) == wanted:
                return meta_graph
    raise GraphRefused("{} has {} graphs, and none of them for answering.".format(name, len(meta_graphs) or "no"))


def _check_assets(meta_graph: Any, folder: str, name: str) -> None:
    inside = os.path.realpath(os.path.join(folder, "assets")) + os.sep
    for asset in meta_graph.asset_file_def:
        if not os.path.realpath(os.path.join(inside, asset.filename)).startswith(inside):
            raise GraphRefused(f"{name} asks for a file outside of itself, {asset.filename!r}.")


def _signature(meta_graph: Any, name: str) -> str:
    there = [key for key in sorted(meta_graph.signature_def) if key != INITIALISER]
    for wanted in SIGNATURES:
        if wanted in there:
            return wanted
    if len(there) == 1:
        return there[0]
    if not there and CALL in _children(meta_graph.object_graph_def, 0):
        return CALL
    raise GraphRefused(
        "{} offers {}; the lab calls {}.".format(name, ", ".join(there) or "nothing to call", " or ".join(SIGNATURES))
    )


def _run_by_objects(meta_graph: Any, signature: str, name: str) -> Set[str]:
    """The functions that loading a TF2 SavedModel runs, and the one that is called then."""
    objects = meta_graph.object_graph_def
    run: Set[str] = set()
    root = _children(objects, 0)
    if signature == CALL:
        run |= _functions_of(objects, root[CALL])
    else:
        signatures = _children(objects, root["signatures"]) if "signatures" in root else {}
        if signature not in signatures:
            raise GraphRefused(f"{name} is damaged: its signature {signature!r} leads nowhere.")
        run |= _functions_of(objects, signatures[signature])
    for number, node in enumerate(objects.nodes):
        children = _children(objects, number)
        for child in ("_create_resource", "_initialize", "_destroy_resource"):
            if child in children:
                run |= _functions_of(objects, children[child])
        for saveable in getattr(node, "saveable_objects", {}).values():
            run |= _functions_of(objects, saveable.restore_function)
    return run


def _children(objects: Any, number: int) -> Dict[str, int]:
    if number >= len(objects.nodes):
        return {}
    return {child.local_name: child.node_id for child in objects.nodes[number].children}


def _functions_of(objects: Any, number: int) -> Set[str]:
    if not 0 <= number < len(objects.nodes):
        return set()
    node = objects.nodes[number]
    names = set(node.function.concrete_functions) | {node.bare_concrete_function.concrete_function_name}
    return names - {""}


def _operations(run: Iterable[str], functions: Dict[str, Any]) -> Set[str]:
    """Every operation that these functions reach, functions apart."""
    met: Set[str] = set()
    waiting: List[str] = list(run)
    operations: Set[str] = set()
    while waiting:
        function = waiting.pop()
        if function in functions and function not in met:
            met.add(function)
            for node in functions[function].node_def:
                operations.add(node.op)
                waiting += graphs.called(node)
    return operations - set(functions)


def _check_tf1(meta_graph: Any, functions: Dict[str, Any], name: str) -> None:
    """Of a TF1 graph nearly everything may run: initialisers, tables, whatever a collection names.

    So everything must be allowed, and what saves must be a dead end that nothing but the saver itself names.
    """
    nodes = meta_graph.graph_def.node
    called = {function for node in nodes for function in graphs.called(node)}
    operations = {node.op for node in nodes} - set(functions) - OF_THE_SAVER
    graphs.refuse_operations(operations | _operations(called, functions), name, WITH_VARIABLES)
    dead_ends = _behind({node.name for node in nodes if _touches_files(node, meta_graph)}, nodes)
    named = {tensor.name for signature in meta_graph.signature_def.values() for tensor in _tensors(signature)}
    named.add(meta_graph.saver_def.restore_op_name)
    for key, collection in meta_graph.collection_def.items():
        if key != "savers":
            named |= set(collection.node_list.value)
            # Protocol buffers with names of nodes in them, variables for example.
            for value in collection.bytes_list.value:
                named |= {dead_end for dead_end in dead_ends if dead_end.encode() in value}
    reached = sorted({graphs.node_of(tensor) for tensor in named} & dead_ends)
    if reached:
        raise GraphRefused(f"{name} reads or writes files at {reached[0]!r}. It is not run.")


def _touches_files(node: Any, meta_graph: Any) -> bool:
    """Whether it is of the saver; what restores the variables from the SavedModel's own file is none of these."""
    if node.op != "RestoreV2":
        return node.op in OF_THE_SAVER
    return graphs.tensor_name(node.input[0]) != graphs.tensor_name(meta_graph.saver_def.filename_tensor_name)


def _behind(names: Set[str], nodes: Any) -> Set[str]:
    """The nodes of these names and all that depend on them, directly or not."""
    takers: Dict[str, List[str]] = {}
    for node in nodes:
        for source in node.input:
            takers.setdefault(graphs.node_of(source), []).append(node.name)
    found: Set[str] = set()
    waiting: List[str] = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += takers.get(name, [])
    return found


def _tensors(signature: Any) -> Iterator[Any]:
    for tensors in (signature.inputs, signature.outputs):
        yield from tensors.values()
