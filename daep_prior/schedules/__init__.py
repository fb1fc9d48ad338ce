"""Schedules: what a solver does at each iteration, as data, and the presets that make them."""

from daep_prior.schedules.phases import *
from daep_prior.schedules.presets import *
from daep_prior.schedules.schedule import *
from daep_prior.schedules.settings import *
