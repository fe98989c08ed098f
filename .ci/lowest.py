"""Print the lowest versions that setup.cfg promises, as constraints for pip: ``numpy>=2.0`` becomes ``numpy==2.0.*``."""

import configparser
import pathlib

setup = configparser.ConfigParser()
setup.read(pathlib.Path(__file__).parents[1] / "setup.cfg")
for requirement in setup["options"]["install_requires"].split():
    name, version = requirement.split(">=")
    print(f"{name}=={version}.*")
