"""The import check on real images, and its statistics on made-up ones."""

import numpy as np
import pytest

from equity_jax.keys import generator
from equity_jax.types import Dataset, InputError, Spec
from experiments import covidcxnet
from experiments.launch import exit_codes


def made_up(rows=70) -> Dataset:
    """One pixel an image: COVID is brighter in north than in south."""
    rng = generator(0, "made up")
    normal = np.arange(rows) % 2
    source = np.where(normal, "west", np.where(np.arange(rows) % 4, "south", "north"))
    brighter = {"north": 200, "south": 40, "west": 0}
    x = rng.integers(0, 50, rows) + np.array([brighter[s] for s in source])
    spec = Spec(
        "cxr", "", (), ("label",), ("COVID", "Normal"), "", (), "", "", True, ""
    )
    return Dataset(
        spec,
        x.astype(np.uint8)[:, None, None, None],
        normal[:, None],
        np.ones((rows, 1)),
        {"source": source},
        np.zeros(rows, np.int8),
        np.arange(rows).astype(str),
        np.arange(rows),
    )


def test_each_source_is_set_against_the_normal_images_of_others():
    table = covidcxnet.by_source(made_up(), lambda x: x[:, :, 0, 0] / np.float32(255))
    found = table.set_index("source")
    assert set(found.index) == {"north", "south"}  # west has no COVID
    assert found.loc["north", "auroc"] == 1.0
    assert 0.8 < found.loc["south", "auroc"] < 1.0
    assert (found["low"] < found["auroc"]).all() and (found["covid"] > 10).all()


def test_a_folder_without_the_checkpoint_is_one_line(tmp_path, capsys):
    with pytest.raises(InputError, match="has no checkpoints/covidcxnet"):
        covidcxnet.covidcxnet_check(str(tmp_path))
    assert exit_codes(covidcxnet.main, ["x", f"--data={tmp_path}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.realdata
def test_the_real_network_tells_covid_from_normal_in_every_source(real):
    table = covidcxnet.covidcxnet_check(str(real)).set_index("source")
    assert set(table.index) == {"covid-cxnet", "hannover", "ieee8023"}
    expected = {"covid-cxnet": 0.968, "hannover": 0.970, "ieee8023": 0.987}
    for source, value in expected.items():
        assert abs(table.loc[source, "auroc"] - value) < 0.01
        assert table.loc[source, "interval"] == "DeLong, clustered"
