"""Metadata, dependencies with the reason for each, and the extras."""

from setuptools import find_packages, setup

# Low bounds only: what the suite was run with. constraints.txt pins every version.
REQUIRES = [
    "jax>=0.10.2",  # arrays, gradients, vmap, jit
    "flax>=0.12.8",  # linen modules behind models/, struct for State
    "optax>=0.2.8",  # optimizers, unreduced losses
    "orbax-checkpoint>=0.12.8",  # checkpoints that survive a kill
    "tensorflow-datasets>=4.9.10",  # dataset builders (no TensorFlow)
    "importlib_resources>=6.4",  # tensorflow-datasets imports it undeclared
    "array_record>=0.8.3",  # the file format of the builders
    "google-crc32c>=1.5",  # the checksums of TFRecord, in C
    "fsspec>=2024.6",  # embeddings on Google Cloud, S3 or a local path alike
    "grain>=0.2.18",  # input streams for data larger than memory
    "ml_collections>=1.1",  # dataclass fields as flags
    "absl-py>=2.1",  # the flags themselves
    "numpy>=2.4",  # host arrays
    "pandas>=3.1",  # tables in and out
    "scipy>=1.17",  # distributions and special functions on the host
    "matplotlib>=3.10",  # figures
    "jinja2>=3.1",  # report.html
    "tqdm>=4.66",  # progress bars
    "opencv-python-headless>=4.10",  # decoding, resizing, CLAHE of X-rays
    "simplejpeg>=1.8",  # JPEG at a fraction of its size, twice as quick as a full one
    "safetensors>=0.5",  # checkpoints of torch and Keras, without pickle
    "h5py>=3.12",  # checkpoints of Keras
    "flatbuffers>=24",  # jax.export writes with it
    "threadpoolctl>=3.5",  # one BLAS thread in each thread of the bootstrap
    "altair>=6.0",  # charts of the audit's page, as Vega-Lite
    "vl-convert-python>=1.9",  # those charts as PNG, and Vega's JavaScript, offline
]

EXTRAS = {
    "test": [
        "pytest>=9.0",
        "pytest-xdist>=3.6.1",  # two workers on two cores
        "hypothesis>=6.100",  # properties of metrics and parsers
        "statsmodels>=0.15",  # reference optima of count models
        "scikit-learn>=1.7",  # reference metrics
        "fairlearn>=0.15",  # reference metrics by group, equalized odds
        "playwright>=1.50",  # drives the installed Chromium over the report
        "ruff>=0.17",  # the style, checked by the suite
    ],
    "bench": [  # the other side of scripts.benchmark
        "torch>=2.10",  # also the other side of the parity tests
        "keras>=3.12",
        "tfrecord>=1.14.6",  # how users of torch read TFRecord files
        "pillow>=11",  # how users of a torch DataLoader read images
        "lightgbm>=4.6",
        "faiss-cpu>=1.12",
        "fairlearn>=0.15",
        "scikit-learn>=1.7",
    ],
    "dicom": ["pydicom>=3.0", "pylibjpeg[all]>=2.0"],  # reading DICOM files
    "umap": ["umap-learn>=0.5.9"],  # one more picture of the embeddings
    "beam": ["apache-beam>=2.77"],  # preparing MIMIC-CXR on many machines
    "tensorboard": ["tensorboardX>=2.6"],  # curves while a run goes on
}

setup(
    name="equity_jax",
    version="0.1.0",
    description="Who does a health model serve worse, and how sure are we? In JAX.",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=["equity_jax", "equity_jax.*", "experiments", "scripts", "scripts.*"]
    ),
    package_data={
        "equity_jax.audit.pages": ["*.j2", "*.js"],
        "equity_jax.data": ["*.csv"],  # the map of race records
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
