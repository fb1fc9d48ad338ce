"""The command line ``daep``. ``main`` has the commands; ``commands/`` has their options and help."""
