"""From a config to the things of one subject: its task, its data and its model. Every file here has the same functions."""
