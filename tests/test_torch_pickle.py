"""Torch's pickles: the tensors come out right, and nothing in a file is ever run."""

import codecs
import collections
import functools
import io
import os
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from equity_jax.keys import generator
from equity_jax.models.pretrained import expects, read
from equity_jax.models.pretrained.torch_files import MAGIC
from equity_jax.types import InputError

FLOATS = np.arange(6, dtype=np.float32)


class Reduced:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Named:
    """Pickles as a plain GLOBAL, with or without its module being here."""

    def __init__(self, name):
        self.name = name


class Pickler(pickle._Pickler):
    """Knows torch's storages and names without torch."""

    dispatch = pickle._Pickler.dispatch.copy()

    def persistent_id(self, item):
        return item if isinstance(item, tuple) and item[:1] == ("storage",) else None

    def save_named(self, item):
        module, _, name = item.name.rpartition(".")
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())

    dispatch[Named] = save_named


class Call:
    """REDUCE of a name."""

    def __init__(self, name, *arguments):
        self.name, self.arguments = name, arguments


def save_call(self, item):
    self.save(Named(item.name))
    self.save(item.arguments)
    self.write(pickle.REDUCE)


Pickler.dispatch[Call] = save_call


def pickled(value, protocol=2) -> bytes:
    stream = io.BytesIO()
    Pickler(stream, protocol).dump(value)
    return stream.getvalue()


def tensor(offset=0, shape=(2, 3), strides=(3, 1), length=6, kind="FloatStorage"):
    storage = ("storage", Named(f"torch.{kind}"), "0", "cpu", length)
    rest = False, collections.OrderedDict()
    return Call(
        "torch._utils._rebuild_tensor_v2", storage, offset, shape, strides, *rest
    )


def zipped(path, payload: bytes, storages=None, **options):
    storages = {"0": FLOATS.tobytes()} if storages is None else storages
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3\n")
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
    return path


def stream(path, payload: bytes, storages=None):
    storages = {"0": FLOATS.tobytes()} if storages is None else storages
    parts = [pickle.dumps(MAGIC, 2), pickle.dumps(1001, 2)]
    parts += [pickle.dumps({"little_endian": True}, 2), payload]
    parts += [pickle.dumps(list(storages), 2)]
    parts += [struct.pack("<q", len(d) // 4) + d for d in storages.values()]
    path.write_bytes(b"".join(parts))
    return path


CONTAINERS = pytest.mark.parametrize("write", [zipped, stream])
HOSTILE = {
    "posix.system": lambda mark: Reduced(os.system, f"touch {mark}"),
    "subprocess.Popen": lambda mark: Call("subprocess.Popen", ["touch", mark]),
    "__builtin__.eval": lambda mark: Reduced(eval, f"open({mark!r}, 'w')"),
    "__builtin__.exec": lambda mark: Reduced(exec, f"open({mark!r}, 'w')"),
    "__builtin__.getattr": lambda mark: Call("__builtin__.getattr", mark, "x"),
    "io.open": lambda mark: Reduced(open, mark, "w"),
    "functools.partial": lambda mark: functools.partial(os.system, f"touch {mark}"),
    "_codecs.encode": lambda mark: Reduced(codecs.encode, "x", "latin1"),
    "numpy.load": lambda mark: Call("numpy.load", mark),
    "torch.load": lambda mark: Call("torch.load", mark),
    "torch.hub.load": lambda mark: Call("torch.hub.load", mark, "x"),
    "torch.serialization._get_layout": lambda mark: Named(
        "torch.serialization._get_layout"
    ),
    "torch.nn.modules_evil.X": lambda mark: Named("torch.nn.modules_evil.X"),
}


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        read(path)
    message = str(error.value)
    assert "\n" not in message and path.name in message
    return message


@CONTAINERS
@pytest.mark.parametrize("deep", [False, True], ids=["alone", "nested"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_by_name_and_nothing_runs(
    name, deep, write, tmp_path
):
    mark = tmp_path / "it_ran"
    value = HOSTILE[name](str(mark))
    if deep:
        inside = collections.OrderedDict(weight=tensor(), extra=[{"x": (value,)}])
        value = {"state_dict": inside, "epoch": 3}
    message = refusal(write(tmp_path / "model.pth", pickled(value)))
    assert f"asks for {name};" in message and "nothing in a file is ever run" in message
    assert not mark.exists()


SYSTEM = b"cposix\nsystem\n"
PROGRAMS = {
    "INST": b"(S'touch x'\niposix\nsystem\n.",
    "OBJ": b"(" + SYSTEM + b"S'touch x'\no.",
    "stack global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R.",
    "stack global of no text": b"\x80\x04K\x01K\x02\x93.",
    "stack global of a tuple nested deep": (
        b"\x80\x04N" + b"\x85" * 300_000 + b"\x8c\x01x\x93."
    ),
    "a key nested deep": (
        b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nN"
        + b"\x85" * 300_000
        + b"X\x03\x00\x00\x00cpuK\x06tQ."
    ),
    "a name of two lines": b"\x80\x04\x8c\x03a\nb\x8c\x03c\x1bd\x93.",
    "NEWOBJ_EX": b"\x80\x04ctorch\nSize\n)}\x92.",
    "EXT1": b"\x80\x02\x82\x01.",
    "PERSID": b"Px\n.",
    "persistent id of no storage": b"K\x01Q.",
    "module with another's name": b"(X\x06\x00\x00\x00module" + SYSTEM + b"tQ.",
    "call of a dict": b"})R.",
    "state of a list": b"](K\x01K\x02ubK\x01b.",
    "memo of 4 billion": b"Nr\xff\xff\xff\xffl.",
    "8 exabytes": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fx.",
    "a number of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7fx.",
    "a number of 9,999 digits": b"I" + b"9" * 9999 + b"\n.",
    "a name nested 300,000 deep": b"}" + b"N" + b"\x85" * 300_000 + b"K\x01s.",
    "a list in itself": b"}q\x00K\x01h\x00s.",
    "nothing on the stack": b".",
    "no mark": b"t.",
    "no end": b"N",
    "no such operation": b"\xff.",
    "a list copied again and again": (
        b"]q\x00("
        + b"N" * 9999
        + b"e"
        + (b"ccollections\nOrderedDict\nh\x00\x85R" * 3000)
    ),
    "a dict of dicts, 2^40 in all": (
        b"}q\x00" + b"}(K\x01h\x00K\x02h\x00uq\x00" * 40 + b"."
    ),
}


@CONTAINERS
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_no_state_dict_needs_are_refused(name, write, tmp_path):
    program = PROGRAMS[name]
    program = program if program[:1] == b"\x80" else b"\x80\x02" + program
    refusal(write(tmp_path / "model.pth", program))


BEYOND = {
    "offset": tensor(offset=1),
    "stride": tensor(strides=(4, 1)),
    "negative stride": tensor(offset=5, strides=(-3, -1)),
    "negative offset": tensor(offset=-1),
    "negative shape": tensor(shape=(-2, -3)),
    "a text as shape": tensor(shape="23"),
    "a broken shape": tensor(shape=(2.0, 3)),
    "other ranks": tensor(strides=(1,)),
    "one number, a trillion times": tensor(shape=(10**12,), strides=(0,)),
    "longer than the file": tensor(length=600),
    "shorter than the file": tensor(length=5, shape=(5,), strides=(1,)),
    "negative length": tensor(length=-6),
    "wider numbers": tensor(kind="DoubleStorage"),
    "no storage": Call("torch._utils._rebuild_tensor_v2", 1, 0, (1,), (1,)),
    "an object array": Call(
        "torch._utils._rebuild_tensor_v2",
        ("storage", "object", "0", "cpu", 6),
        *(0, (6,), (1,)),
    ),
}


@CONTAINERS
@pytest.mark.parametrize("name", BEYOND)
def test_tensors_stay_inside_their_storage(name, write, tmp_path):
    refusal(write(tmp_path / "model.pth", pickled({"w": BEYOND[name]})))


@CONTAINERS
def test_views_of_one_storage_come_out_as_torch_means_them(write, tmp_path):
    views = {
        "whole": tensor(),
        "turned": tensor(shape=(3, 2), strides=(1, 3)),
        "tail": tensor(offset=4, shape=(2,), strides=(1,)),
        "scalar": tensor(offset=3, shape=(), strides=()),
        "empty": tensor(shape=(0, 3), strides=(3, 1)),
    }
    found = read(write(tmp_path / "model.pth", pickled(views))).arrays
    np.testing.assert_array_equal(found["whole"], FLOATS.reshape(2, 3))
    np.testing.assert_array_equal(found["turned"], FLOATS.reshape(2, 3).T)
    np.testing.assert_array_equal(found["tail"], FLOATS[4:])
    assert found["scalar"] == 3 and found["empty"].size == 0
    assert not found["whole"].flags.writeable


def test_a_zip_bomb_is_refused(tmp_path):
    bomb = zipped(
        tmp_path / "bomb.pth",
        pickled({"w": tensor(length=10**7)}),
        {"0": bytes(4 * 10**7)},
        compression=zipfile.ZIP_DEFLATED,
    )
    assert "unpack" in refusal(bomb)


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    path = zipped(tmp_path / "quine.pth", pickled({"w": tensor()}), {"0": bytes(5000)})
    data = path.read_bytes()
    start = data.index(b"PK\x01\x02")  # the directory, listed a thousand times
    end = data.index(b"PK\x05\x06")
    directory = data[start:end] * 1000
    tail = struct.pack(
        *("<4s4H2LH", b"PK\x05\x06", 0, 0, 3000, 3000, len(directory), start, 0)
    )
    path.write_bytes(data[:start] + directory + tail)
    refusal(path)


def test_names_in_a_zip_are_never_places(tmp_path):
    path = tmp_path / "model.pth"
    inside = tmp_path / "inside"
    inside.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../x/data.pkl", pickled({"w": tensor()}))
        archive.writestr("../../x/data/0", FLOATS.tobytes())
    np.testing.assert_array_equal(read(path).arrays["w"], FLOATS.reshape(2, 3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["inside", "model.pth"]


def test_a_file_that_names_no_data_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "without a torch checkpoint" in refusal(tmp_path / "a.pth")
    missing = zipped(tmp_path / "b.pth", pickled({"w": tensor()}), {})
    assert "data/0 is missing" in refusal(missing)
    (tmp_path / "c.pth").write_bytes(pickle.dumps({"a": 1}, 2))
    assert "torch.save did not write it" in refusal(tmp_path / "c.pth")
    (tmp_path / "d.pth").write_bytes(b"")
    assert "no checkpoint" in refusal(tmp_path / "d.pth")


@CONTAINERS
def test_truncated_and_garbled_files_are_refused_or_read(write, tmp_path):
    path = write(tmp_path / "model.pth", pickled({"w": tensor(), "b": tensor()}))
    whole, rng = path.read_bytes(), generator(0, "garble")
    for cut in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:cut])
        refusal(path)
    for _ in range(300):
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            broken[at] = rng.integers(256)
        path.write_bytes(bytes(broken))
        try:
            read(path)
        except InputError as error:
            assert "\n" not in str(error)


# With torch itself.


def stored(torch, tmp_path, value, legacy):
    path = tmp_path / "model.pth"
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return read(path)


LEGACY = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="the extra bench brings torch")


@LEGACY
def test_every_type_of_number_comes_back(legacy, torch, tmp_path):
    kinds = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
    start = torch.arange(12).reshape(3, 4)
    tensors = {k: start.to(getattr(torch, k)) for k in kinds.split()}
    tensors["view"] = start.float().T[1:3]
    tensors["parameter"] = torch.nn.Parameter(torch.ones(2))
    found = stored(torch, tmp_path, tensors, legacy).arrays
    assert list(found) == list(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(
            found[name].astype(float), value.detach().double().numpy(), name
        )


def net(torch):
    nn = torch.nn
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)
    return nn.Sequential(*layers)


@LEGACY
def test_a_training_checkpoint_gives_its_network_alone(legacy, torch, tmp_path):
    model = net(torch)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.ones(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    state = {"state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
    found = stored(torch, tmp_path, {**state, "epoch": 7, "arch": "toy"}, legacy)
    assert set(found.arrays) == set(model.state_dict())
    assert found.facts == {"epoch": 7, "arch": "toy", "file": "model.pth"}


@LEGACY
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_network_that_was_pickled_whole_gives_its_tensors(legacy, torch, tmp_path):
    model = net(torch)
    found = stored(torch, tmp_path, model, legacy).arrays
    assert set(found) == set(model.state_dict())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(found[name], value.numpy(), name)


@LEGACY
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_network_of_torchxrayvision_needs_no_torchxrayvision(
    legacy, torch, tmp_path, monkeypatch
):
    room = types.ModuleType("torchxrayvision.models")
    room.DenseNet = type("DenseNet", (torch.nn.Module,), {"__module__": room.__name__})
    monkeypatch.setitem(sys.modules, "torchxrayvision", types.ModuleType("x"))
    monkeypatch.setitem(sys.modules, room.__name__, room)
    model = room.DenseNet()
    model.features = torch.nn.Sequential()
    model.features.add_module("conv0", torch.nn.Conv2d(1, 64, 7, bias=False))
    model.classifier = torch.nn.Linear(1024, 18)
    model.pathologies, model.op_threshs = ["Edema"], [0.5]
    path = tmp_path / "xrv.pt"
    torch.save(model, path, _use_new_zipfile_serialization=not legacy)
    monkeypatch.undo()
    assert "torchxrayvision" not in sys.modules
    found = read(path)
    assert set(found.arrays) == set(model.state_dict())
    options = {"normalize": "xrv", "channels": 1}
    assert expects(found, "densenet121") == (18, options)
