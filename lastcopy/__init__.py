"""The front end: command line, configuration loading, exit codes, and the Python API."""
