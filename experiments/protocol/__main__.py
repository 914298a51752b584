"""`python -m experiments.protocol`."""

from experiments.launch import launch
from experiments.protocol import main_config, smoke, study

if __name__ == "__main__":
    launch(main_config, smoke, study)
