"""The commands of ``daep``, one a file: options, help, and a short body that imports the rest when it runs."""
