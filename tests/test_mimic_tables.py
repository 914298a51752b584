"""MIMIC's files are found and read, few columns at a time; a bad one is one line."""

import gzip

import fsspec
import hospital
import pytest

from equity_jax.config import Embeddings
from equity_jax.data import mimic_names, mimic_tables
from equity_jax.data.mimic_tables import find, read_tables
from equity_jax.types import InputError


def read(folder, subjects=None, **options):
    return read_tables(str(folder), Embeddings(**options), subjects, quiet=True)


@pytest.fixture
def folder(tmp_path):
    return hospital.write(tmp_path / "physionet.org" / "files", hospital.tables())


def replace(path, old, new):
    raw = path.read_bytes()
    zipped = path.suffix == ".gz"
    text = (gzip.decompress(raw) if zipped else raw).decode()
    assert old in text
    raw = text.replace(old, new).encode()
    path.write_bytes(gzip.compress(raw) if zipped else raw)


def test_tables_are_found_below_any_folder(folder, tmp_path):
    (folder / "p10").mkdir()  # embeddings or images: not looked into
    (folder / "p10" / "patients.csv").write_text("not,a,table\n")
    found = find(str(tmp_path))
    assert set(found) == set(hospital.FILES)
    assert found["patients"].endswith("hosp/patients.csv.gz")
    (folder / "patients.csv").write_text("subject_id\n")
    with pytest.raises(InputError, match="patients.csv.*expected one of them"):
        find(str(tmp_path))
    with pytest.raises(InputError, match="no such folder of tables"):
        find(str(tmp_path / "nowhere"))


def test_only_what_a_label_needs_is_read(folder):
    made = read(folder)
    some = {"metadata", "split", "admissions", "patients", "ejection_fraction"}
    assert set(made) == some
    assert made["admissions"].columns.tolist() == [
        *("subject_id", "hadm_id", "admittime", "dischtime", "insurance", "race"),
    ]
    assert made["admissions"]["race"].tolist()[1] == "WHITE - RUSSIAN"
    assert made["ejection_fraction"]["study_id"].tolist()[:2] == ["500", ""]
    assert "diagnoses_icd" in read(folder, label="heart_failure")
    edema = read(folder, label="Edema")["chexpert"]
    assert edema.columns.tolist() == ["subject_id", "study_id", "Edema"]
    assert edema["Edema"].tolist() == ["1.0", "-1.0", "", "0.0", "0.0"]


def test_other_peoples_rows_and_other_codes_are_not_kept(folder):
    made = read(folder, {"11", "13"}, label="heart_failure")
    assert set(made["admissions"]["subject_id"]) == {"11", "13"}
    assert made["admissions"].index.tolist() == [2, 3, 4, 5, 7]  # rows of the file
    codes = made["diagnoses_icd"]
    assert codes["icd_code"].tolist() == ["42831", "I10", "I10", "I130"]


def test_chunks_change_nothing(folder, monkeypatch):
    whole = read(folder, label="heart_failure")
    monkeypatch.setattr(mimic_tables, "ROWS", 2)
    parts = read(folder, label="heart_failure")
    for key, table in whole.items():
        assert parts[key].equals(table), key
        assert parts[key].attrs == table.attrs


def test_tables_of_any_fsspec_url(folder):
    memory = fsspec.filesystem("memory")
    for path in folder.rglob("*.csv*"):
        memory.pipe(f"/bucket/{path.name}", path.read_bytes())
    made = read("memory://bucket")
    assert made["patients"].equals(read(folder)["patients"])
    assert made["patients"].attrs["name"] == "memory:///bucket/patients.csv.gz"


def test_an_older_version_says_ethnicity(folder):
    path = folder / "hosp" / "admissions.csv.gz"
    replace(path, "marital_status,race,", "marital_status,ethnicity,")
    assert read(folder)["admissions"]["ethnicity"].tolist()[0] == "WHITE"
    replace(path, "marital_status,ethnicity,", "marital_status,colour,")
    with pytest.raises(InputError, match="admissions.csv.gz, line 1, column 'race'"):
        read(folder)


def test_ejection_fractions_from_elsewhere(folder, tmp_path):
    (folder / "ejection_fraction.csv").rename(tmp_path / "echo.csv")
    with pytest.raises(InputError, match="no ejection_fraction table .*label='ef' "):
        read(folder)
    made = read(folder, ef=str(tmp_path / "echo.csv"))
    assert made["ejection_fraction"]["ef"].tolist()[0] == "35"
    options = Embeddings(label="ef")
    lenient = read_tables(str(folder), options, strict=False, quiet=True)
    assert "ejection_fraction" not in lenient


def test_blank_lines_and_short_lines(folder):
    path = folder / "ejection_fraction.csv"
    path.write_text("subject_id,study_id,date,ef\n\n10,,2180-01-01,40\n11,510\n")
    made = read(folder)["ejection_fraction"]
    assert made.index.tolist() == [1, 2]  # lines 3 and 4
    assert made["ef"].tolist() == ["40", ""]


def test_unknown_labels_list_the_known(folder):
    with pytest.raises(InputError, match="label='Edoema'; known: ef, ef_classes, hear"):
        read(folder, label="Edoema")
    with pytest.raises(InputError, match="labeler='me'; expected chexpert or negbio"):
        read(folder, label="Edema", labeler="me")
    with pytest.raises(InputError, match="no negbio table"):
        read(folder, label="Edema", labeler="negbio")


@pytest.mark.parametrize("damage", ["cut", "bytes", "empty"])
def test_files_that_are_no_csv(folder, damage):
    path = folder / "hosp" / "patients.csv.gz"
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[:-9], "bytes": b"\x89PNG", "empty": b""}[damage])
    with pytest.raises(InputError, match="patients.csv.gz: not a whole CSV"):
        read(folder)


def test_every_table_names_the_columns_of_the_real_files():
    for key, (file, header) in hospital.FILES.items():
        table = mimic_names.TABLES[key]
        assert set(table.read) <= set(header.split(",")), key
        assert set(table.key) <= set(header.split(",")), key
        assert file


def test_only_a_header(folder):
    path = folder / "ejection_fraction.csv"
    path.write_text("subject_id,study_id,date,ef\n")
    assert len(read(folder)["ejection_fraction"]) == 0
