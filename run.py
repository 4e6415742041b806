"""Trains and evaluates: python run.py --config=configs/glm.py --jaxline_mode train"""

from jaxline_lite import platform

if __name__ == '__main__':
  platform.main('icljax.experiment:Experiment', checks='icljax.checks')
