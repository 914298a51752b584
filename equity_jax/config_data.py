"""The configuration of data: which rows, how they are read, and the twins."""

from dataclasses import dataclass, field


@dataclass
class Twin:
    """The simulated twin of the deaths table (used where data.source is empty)."""

    seed: int = 0
    months: int = 45
    regions: int = 10
    size: float = 1.0  # multiplies every cell's total deaths
    shift: float = (
        0.35  # planted log rate ratio of each smaller group, alternating sign
    )
    slope: float = (
        0.15  # planted group difference in the age slope: what pooling misses
    )
    block_sd: float = 0.15  # log-normal spread shared by a region × month block
    dispersion: float = 0.05  # NegBin alpha of one cell


@dataclass
class Phantom:
    """The simulated twin of chest X-rays (data.name "cxr", where source is empty)."""

    seed: int = 0
    patients: int = 300
    size: int = 96  # pixels of a side
    lesion: float = 0.5  # contrast of the planted lesion, 1 = as bright as a rib
    marker: float = 0.0  # contrast of a mark in the corner that tells the class: a
    # shortcut; 0 plants none
    female: float = 0.3  # share of women: the smaller group
    faint: float = 0.5  # a woman's lesion has this share of the contrast


@dataclass
class Images:
    """How X-rays are read (data.name "cxr" or "mimic_cxr")."""

    size: int = 224  # pixels of a side, after resizing
    layout: str = "auto"  # "folders", "table", "nih", "chexpert", "mimic", "records",
    # "dicom", "prepared"
    classes: str = ""  # "COVID=COVID,Lung_Opacity=": folder or finding = class; an
    # empty class leaves it out; empty: the layout's own map
    labels: str = ""  # multi-label tables: which findings, with commas; empty: all
    uncertain: str = "u-zeros"  # CheXpert's -1: "u-zeros", "u-ones", "u-ignore"
    blank: str = "zeros"  # a finding not mentioned: "zeros" (absent), "ignore"
    views: str = "all"  # "frontal" leaves out laterals, and of MIMIC unknown views
    equalize: str = ""  # "", "global", "clahe"; "borders", "borders+global",
    # "borders+clahe": burnt-in borders are cut off first
    quarantine: float = 0.05  # share of unreadable files at which reading stops
    alike: int = 4  # bits of 64 in which look-alikes may differ; -1: do not look
    memory: float = 4.0  # GiB of pixels that are kept in memory; more is streamed


@dataclass
class Embeddings:
    """How embeddings of X-rays are read and joined (data.name "embeddings")."""

    layout: str = "auto"  # "physionet", "shards", "npz", "prepared"
    key: str = "embedding"  # the feature (of .npz: the array) that holds the numbers
    tables: str = ""  # folder of the MIMIC tables, or the CSV of scripts.embed;
    # empty: the source's own folder
    label: str = "ef"  # "ef" (below cut), "ef_classes" (3), "heart_failure" (ICD), or a
    # CheXpert finding such as "Edema"
    labeler: str = "chexpert"  # or "negbio"
    uncertain: str = "u-ignore"  # the labeler's -1: "u-zeros", "u-ones", "u-ignore"
    ef: str = ""  # CSV of ejection fractions; empty: ejection_fraction.csv of tables
    cut: float = 40.0  # percent; heart failure with reduced ejection fraction below it
    window: float = 30.0  # days between the X-ray and the echo, at most
    race: str = "coarse"  # or "detailed"
    races: str = ""  # CSV detailed,coarse that replaces the table of the package
    conflicts: str = "most_frequent"  # race records that differ: "first", "exclude"
    views: str = "frontal"  # AP and PA; "all"
    precision: str = "float32"  # or "bfloat16": half the memory
    quarantine: float = 0.01  # share of unreadable records at which reading stops
    sha256: bool = False  # whether each file is held against SHA256SUMS.txt


@dataclass
class Cohort:
    """The simulated twin of the embeddings (where source is empty)."""

    seed: int = 0
    patients: int = 5000
    images: int = 20000
    features: int = 1376
    ef: float = 1.6  # planted: how far the classes lie apart along the EF direction, SD
    race: float = 1.2  # planted: how far the groups lie apart along race directions, SD
    faint: float = 0.5  # share of the EF distance that smaller groups have
    own: float = 0.5  # and along a direction of their own, which White does not show
    noise: float = 0.1  # labels of the smaller groups that are flipped
    conflicts: float = 0.05  # patients with race records that differ


@dataclass
class Mimic:
    """How MIMIC-CXR-JPG and MIMIC-IV meet (data.name "mimic_cxr")."""

    tables: str = ""  # folder of the tables that are not below the source
    labeler: str = "chexpert"  # or "negbio"
    split: str = "official"  # or "patient": drawn by patient, data.valid and data.test
    race: str = "coarse"  # or "detailed"
    races: str = ""  # CSV detailed,coarse that replaces the table of the package
    conflicts: str = "most_frequent"  # race records that differ: "first", "exclude"
    keep: str = "Asian,Black,Hispanic,White"  # races that are groups; others stay, as
    # "not recorded"; empty: all


@dataclass
class Records:
    """What features of TFRecord files of X-rays are called (layout "records").

    An empty name: the feature is not there.
    """

    image: str = "image/encoded"  # JPEG, PNG, or raw pixels (then height and width)
    height: str = "image/height"
    width: str = "image/width"
    id: str = "image/id"
    patient: str = "patient"
    labels: str = ""  # names of the 0/1 features that are findings, with commas; empty:
    # those of the 14 findings that are there
    sex: str = "sex"
    age: str = "age"
    race: str = "race"
    insurance: str = "insurance"
    view: str = "view"
    split: str = "split"


@dataclass
class Ward:
    """The simulated twin of MIMIC-CXR-JPG (data.name "mimic_cxr", no source)."""

    seed: int = 0
    patients: int = 1500
    size: int = 64  # pixels of a side
    finding: float = 0.8  # contrast of the planted findings, 1 = as bright as a rib
    race: float = 1.6  # planted: how far the groups' faint signs lie apart, SD
    sign: float = 0.02  # brightness of one SD of that sign, of 0..1
    gap: float = 0.5  # planted: log odds of a finding, Black above White; half of it
    # Hispanic above, and Asian below
    missed: float = 0.1  # ill studies of the smaller groups labelled "No Finding"
    conflicts: float = 0.05  # patients with race records that differ


@dataclass
class Spurious:
    """The simulated table with a misleading attribute (data.name "spurious")."""

    seed: int = 0
    train: int = 4000  # rows; a row is a patient
    valid: int = 1000
    test: int = 4000
    features: int = 24  # 4 tell the class, 4 the attribute, the rest nothing
    prevalence: float = 0.4  # of the class "present"
    agree: float = 0.95  # rows whose attribute agrees with their class
    core: float = 2.0  # how far the classes lie apart, SD: a weak sign
    spurious: float = 4.0  # how far the attribute's two values do: a strong one


@dataclass
class Data:
    """Which rows, and what is asked of them."""

    name: str = "deaths"
    source: str = ""  # a file's path; empty: the simulated twin
    task: str = "counts"  # "counts" (a: NegBin) or "burden" (b: share >= data.share)
    population: str = (
        ""  # CSV of region, race, age, population: exposure becomes people
    )
    group: str = "race"  # the attribute that defines groups
    reference: str = ""  # the well-represented group; empty: most training rows
    grain: str = ""  # "week", "month", "year", "total"; empty: the only one in the file
    level: str = "regions"  # "regions" (or states), or "nation"; never both
    ages: str = ""  # for overlapping age groups: "fine" or "coarse"; empty: fine
    blanks: str = "auto"  # "own": each count blank by itself; "joint": both; "auto"
    share: float = 0.10  # burden: COVID-19 at least this share of all deaths
    lags: tuple[int, ...] = (1, 2, 3)  # periods of earlier shares used as features
    race_as_feature: bool = False
    valid: float = 0.15  # share of the periods (or states) for validation
    test: float = 0.25  # share of the periods (or states) for the test
    incomplete_days: int = 30  # leave out periods that end less than this before as-of
    twin: Twin = field(default_factory=Twin)
    images: Images = field(default_factory=Images)
    phantom: Phantom = field(default_factory=Phantom)
    embeddings: Embeddings = field(default_factory=Embeddings)
    cohort: Cohort = field(default_factory=Cohort)
    mimic: Mimic = field(default_factory=Mimic)
    records: Records = field(default_factory=Records)
    ward: Ward = field(default_factory=Ward)
    spurious: Spurious = field(default_factory=Spurious)
